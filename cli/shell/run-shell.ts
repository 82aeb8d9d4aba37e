// From a MicroVM's id to an exit code: look, get a token, connect, talk, and say what became of it.
import { readFile } from 'node:fs/promises';
import {
  CreateMicrovmShellAuthTokenCommand,
  GetMicrovmCommand,
  type GetMicrovmResponse,
} from '@aws-sdk/client-lambda-microvms';
import type { ServerFacts } from '../../src/contract/server-facts.ts';
import { managedConnectorArn } from '../../src/lib/arn.ts';
import { Fault } from '../../src/lib/errors.ts';
import { openTarget, type Target } from '../demo/target.ts';
import { explain } from '../explain.ts';
import type { Surroundings } from '../surroundings.ts';
import { connectShell, type TurnedAway } from './connect.ts';
import { runSession, type SessionEnd } from './session.ts';

export interface ShellWish {
  facts: ServerFacts;
  microvmId: string;
  /** Empty for a shell. */
  argv: readonly string[];
}

/** As ssh: what went wrong was not the command. */
const connectionFailed = 255;
const tokenMinutes = 5;
const answerTimeoutMs = 30_000;

/** Resolves with the exit code. */
export async function runShell(wish: ShellWish, around: Surroundings): Promise<number> {
  const { apiUrl, region, accessKeyId, secretAccessKey, caFile } = wish.facts;
  const ca = await readFile(caFile, 'utf8');
  const target = openTarget({ apiUrl, region, credentials: { accessKeyId, secretAccessKey }, ca });
  try {
    return await converse(wish, target, ca, around);
  } catch (error) {
    around.err.write(`${explain(error, Boolean(around.env.WATERBEAR_DEBUG))}\n`);
    return connectionFailed;
  } finally {
    target.destroy();
  }
}

async function converse(wish: ShellWish, target: Target, ca: string, around: Surroundings): Promise<number> {
  const { microvmId, argv } = wish;
  const vm = await look(target, microvmId);
  const token = await mintToken(target, microvmId);
  const waiting = vm.state === undefined ? undefined : waitingTexts[vm.state];
  if (waiting !== undefined) around.err.write(`MicroVM ${microvmId} is ${waiting} …\n`);
  const console = around.console();
  const terminal = console.input.isTTY === true && console.output.isTTY === true;
  const withCommand = argv.length > 0 || !terminal;
  const answer = await connectShell({ endpoint: vm.endpoint ?? '', token, ca, withCommand });
  if ('status' in answer) throw new Fault('conflict', { what: await whyTurnedAway(answer, target, microvmId) });
  const end = await runSession({ socket: answer, console, terminal, argv: withCommand ? argv : undefined });
  if (end.kind === 'exited' || end.kind === 'stopped') return end.exitCode;
  around.err.write(`${terminal ? '\r\n' : ''}${await whyEnded(end, target, microvmId)}\n`);
  return connectionFailed;
}

const waitingTexts: Partial<Record<string, string>> = {
  PENDING: 'starting: the shell opens when it runs',
  SUSPENDED: 'asleep: waking it',
  SUSPENDING: 'falling asleep: waking it',
};

async function look(target: Target, microvmId: string): Promise<GetMicrovmResponse> {
  const command = new GetMicrovmCommand({ microvmIdentifier: microvmId });
  const abortSignal = AbortSignal.timeout(answerTimeoutMs);
  const vm = await target.microvms.send(command, { abortSignal }).catch((cause: Error) => {
    if (cause.name !== 'ResourceNotFoundException') throw cause;
    const next = 'See which there are: aws --profile waterbear lambda-microvms list-microvms';
    throw new Fault('not_found', { what: `There is no MicroVM ${microvmId}. ${next}` }, cause);
  });
  if (vm.state === 'TERMINATED' || vm.state === 'TERMINATING') {
    throw new Fault('conflict', { what: `MicroVM ${microvmId} has ended: ${vm.stateReason ?? 'no reason is known'}` });
  }
  return vm;
}

async function mintToken(target: Target, microvmId: string): Promise<string> {
  const order = { microvmIdentifier: microvmId, expirationInMinutes: tokenMinutes };
  const abortSignal = AbortSignal.timeout(answerTimeoutMs);
  const command = new CreateMicrovmShellAuthTokenCommand(order);
  const { authToken } = await target.microvms.send(command, { abortSignal }).catch((cause: Error) => {
    if (!cause.message.includes('SHELL_INGRESS')) throw cause;
    const [http, shell] = (['HTTP_INGRESS', 'SHELL_INGRESS'] as const).map((n) =>
      managedConnectorArn(target.region, n),
    );
    const next = `That cannot be changed; launch one with --ingress-network-connectors ${http} ${shell}`;
    throw new Fault('conflict', { what: `MicroVM ${microvmId} was launched without SHELL_INGRESS. ${next}` }, cause);
  });
  const token = Object.values(authToken ?? {})[0];
  if (!token) throw new Fault('internal', { what: 'CreateMicrovmShellAuthToken answered without a token.' });
  return token;
}

const againText = 'Run the command again: that wakes it, with everything as it was, but its shells have ended.';

async function whyEnded(
  end: Exclude<SessionEnd, { kind: 'exited' | 'stopped' }>,
  target: Target,
  microvmId: string,
): Promise<string> {
  if (end.kind === 'left') return `The connection to ${microvmId} was closed.`;
  if (end.kind === 'no commands') return 'error: This server is in profile aws and opens shells only. Use a terminal.';
  if (end.code === 1001) return whyAway(target, microvmId);
  const why = end.reason || `it broke (${end.code})`;
  return `error: The connection to ${microvmId} was lost: ${why}`;
}

/** What the control plane knows of a MicroVM that left. */
async function whyAway(target: Target, microvmId: string): Promise<string> {
  const vm = await look(target, microvmId).catch((error: unknown) => ({ error }));
  if ('error' in vm) return explain(vm.error);
  if (vm.idlePolicy?.autoResumeEnabled === false || !vm.idlePolicy) {
    return `MicroVM ${microvmId} was suspended. Resume it: aws --profile waterbear lambda-microvms resume-microvm --microvm-identifier ${microvmId}`;
  }
  return `MicroVM ${microvmId} was suspended. ${againText}`;
}

async function whyTurnedAway({ status, reason }: TurnedAway, target: Target, microvmId: string): Promise<string> {
  const { state, stateReason } = await look(target, microvmId);
  const because = stateReason ? ` ${stateReason}` : '';
  if (state === 'SUSPENDED') return `MicroVM ${microvmId} did not wake.${because} ${await whyAway(target, microvmId)}`;
  if (reason === 'application_unreachable') {
    return `MicroVM ${microvmId} opens no shell. If its image is from before there were shells, build it again.`;
  }
  return `MicroVM ${microvmId} (${state}) answered ${status}${reason ? ` (${reason})` : ''}.${because}`;
}
