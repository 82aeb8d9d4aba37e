// One MicroVM through the eyes of the SDK: launch, token, states, and the interpreter inside.
import {
  CreateMicrovmAuthTokenCommand,
  GetMicrovmCommand,
  type IdlePolicy,
  RunMicrovmCommand,
} from '@aws-sdk/client-lambda-microvms';
import { z } from 'zod';
import { Fault } from '../../src/lib/errors.ts';
import { callEndpoint, type EndpointAnswer } from './endpoint.ts';
import type { Target } from './target.ts';
import { expect, untilAnswer } from './waiting.ts';

export interface Vm {
  microvmId: string;
  endpoint: string;
  token: string;
}

const appPort = 8080;
const tokenMinutes = 30;
const stateDeadlineMs = 120_000;
const statePollMs = 20;
const answerPollMs = 50;

export async function launch(
  target: Target,
  order: { imageArn: string; idlePolicy?: IdlePolicy },
  signal: AbortSignal,
): Promise<Omit<Vm, 'token'>> {
  const { imageArn: imageIdentifier, idlePolicy } = order;
  const command = new RunMicrovmCommand({ imageIdentifier, ...(idlePolicy ? { idlePolicy } : {}) });
  const { microvmId, endpoint } = await target.microvms.send(command, { abortSignal: signal });
  if (!microvmId || !endpoint) throw new Fault('internal', { what: 'RunMicrovm answered without an id or endpoint.' });
  return { microvmId, endpoint };
}

export async function mintToken(target: Target, microvmId: string, signal: AbortSignal): Promise<string> {
  const command = new CreateMicrovmAuthTokenCommand({
    microvmIdentifier: microvmId,
    expirationInMinutes: tokenMinutes,
    allowedPorts: [{ port: appPort }],
  });
  const { authToken } = await target.microvms.send(command, { abortSignal: signal });
  const token = Object.entries(authToken ?? {}).find(([name]) => name.toLowerCase() === 'x-aws-proxy-auth')?.[1];
  if (!token) throw new Fault('internal', { what: 'CreateMicrovmAuthToken answered without a token.' });
  return token;
}

/** Resolves when the MicroVM is in `wanted`; fails at once when it ended instead. */
export async function untilState(
  target: Target,
  vm: Pick<Vm, 'microvmId'>,
  wanted: string,
  signal: AbortSignal,
): Promise<void> {
  const patience = { what: `Reaching ${wanted}`, deadlineMs: stateDeadlineMs, intervalMs: statePollMs, signal };
  await untilAnswer(patience, async () => {
    const command = new GetMicrovmCommand({ microvmIdentifier: vm.microvmId });
    const { state, stateReason } = await target.microvms.send(command, { abortSignal: signal });
    if (state === wanted) return true;
    if (state === 'TERMINATED' || state === 'TERMINATING') {
      expect(wanted === 'TERMINATED', `${vm.microvmId} ended: ${stateReason ?? 'no reason is given'}`);
    }
    return undefined;
  });
}

/** One request. A 502 is tried again: AWS answers so for a moment after launch and resume. */
export async function ask(
  target: Target,
  vm: Vm,
  call: { method: string; path: string; body?: string },
  signal: AbortSignal,
): Promise<EndpointAnswer> {
  const patience = { what: 'The first answer', deadlineMs: stateDeadlineMs, intervalMs: answerPollMs, signal };
  const { endpoint, token } = vm;
  return untilAnswer(patience, async () => {
    const answer = await callEndpoint({ endpoint, token, ca: target.ca, ...call, signal });
    return answer.status === 502 ? undefined : answer;
  });
}

const execution = z.object({
  stdout: z.string(),
  stderr: z.string(),
  result: z.string().nullable(),
  error: z.object({ name: z.string(), message: z.string() }).nullable(),
  executionCount: z.number(),
});
export type Execution = z.output<typeof execution>;

/** Runs Python code in the session of a MicroVM. */
export async function execute(target: Target, vm: Vm, code: string, signal: AbortSignal): Promise<Execution> {
  const answer = await ask(target, vm, { method: 'POST', path: '/execute', body: JSON.stringify({ code }) }, signal);
  expect(answer.status === 200, `running code was answered with ${answer.status}: ${answer.body.slice(0, 500)}`);
  return execution.parse(JSON.parse(answer.body));
}
