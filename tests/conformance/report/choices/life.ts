// Choices that show over the life of a MicroVM: hooks, sleep and wake. Each makes a control plane of its own.
import type { RunMicrovmRequest } from '@aws-sdk/client-lambda-microvms';
import { demoArn, imageRequest } from '../../../../src/app/testing/test-app.ts';
import { profiles } from '../../../../src/config/profiles.ts';
import type { Limits } from '../../../../src/contract/limits.ts';
import type { HookPlan } from '../../../../src/contract/node-api.ts';
import { Fault } from '../../../../src/lib/errors.ts';
import { createTasks } from '../../../../src/tasks/create-tasks.ts';
import { type ControlPlaneRig, controlPlaneRig } from '../../../fake/control-plane-rig.ts';
import { type Input, send } from '../operation-cases.ts';
import type { Choice } from './choice.ts';

const hooks = {
  port: 9000,
  microvmImageHooks: { ready: 'ENABLED', validate: 'ENABLED' },
  microvmHooks: { run: 'ENABLED', resume: 'ENABLED', suspend: 'ENABLED', terminate: 'ENABLED' },
};

/** The hooks that the host is told of for an image that gives no timeouts. */
async function planOf(profile: keyof typeof profiles): Promise<HookPlan | undefined> {
  await using rig = await controlPlaneRig(profiles[profile]);
  await send(rig, 'CreateMicrovmImage', { ...imageRequest, hooks });
  await rig.t.settle();
  return rig.t.node.orders[0]?.hooks;
}

const isPlan = (plan: HookPlan | undefined, imageSeconds: number, seconds: number): boolean =>
  [plan?.readySeconds, plan?.validateSeconds].every((each) => each === imageSeconds) &&
  [plan?.runSeconds, plan?.resumeSeconds, plan?.suspendSeconds, plan?.terminateSeconds].every(
    (each) => each === seconds,
  );

interface Life {
  rig: ControlPlaneRig;
  call(operation: 'SuspendMicrovm' | 'ResumeMicrovm'): Promise<unknown>;
  state(): Promise<Input>;
  /** Lets time pass for the tasks, too. */
  pass(ms: number): Promise<void>;
}

/** Launches a MicroVM and hands it over. */
async function alive<T>(
  input: Partial<RunMicrovmRequest>,
  work: (life: Life) => Promise<T>,
  limits: Partial<Limits> = {},
): Promise<T> {
  await using rig = await controlPlaneRig(limits);
  await send(rig, 'CreateMicrovmImage', imageRequest);
  await rig.t.settle();
  const { microvmId } = await send(rig, 'RunMicrovm', { imageIdentifier: demoArn, ...input });
  await rig.t.settle();
  const id = { microvmIdentifier: microvmId };
  const tasks = createTasks(rig.t.app, rig.t.clock);
  return await work({
    rig,
    call: (operation) => send(rig, operation, id),
    state: () => send(rig, 'GetMicrovm', id),
    async pass(ms) {
      await rig.t.clock.advance(ms);
      await tasks.runOnce();
      await rig.t.settle();
    },
  });
}

/** What becomes of a MicroVM whose `/suspend` fails, and its reason. */
const afterFailedSuspend = (profile: keyof typeof profiles): Promise<string> =>
  alive(
    {},
    async ({ rig, call, state }) => {
      rig.t.node.failures.suspend = [new Fault('hook_failed', { what: 'No.' })];
      await call('SuspendMicrovm');
      await rig.t.settle();
      const { state: now, stateReason } = await state();
      return `${now} ${stateReason}`;
    },
    profiles[profile],
  );

const idlePolicy = { maxIdleDurationSeconds: 60, suspendedDurationSeconds: 60, autoResumeEnabled: true };

export const lifeChoices: readonly Choice[] = [
  {
    row: 15,
    topic:
      'Hook timeouts when none is given: 30 s or 60 s for `/ready`, 30 s or 1 s for `/validate`, 1 s for the others',
    choice: 'profile `aws`: 30 s, 30 s, 1 s; profile `open`: 300 s, 300 s, 10 s',
    check: async () => isPlan(await planOf('aws'), 30, 1) && isPlan(await planOf('open'), 300, 10),
  },
  {
    row: 16,
    topic: 'Failure of `/suspend`: the MicroVM is not suspended, or ends',
    choice: 'profile `open`: it is RUNNING with a `stateReason`; profile `aws`: it ends with that',
    check: async () =>
      (await afterFailedSuspend('open')) === 'RUNNING No.' && (await afterFailedSuspend('aws')) === 'TERMINATED No.',
  },
  {
    row: 18,
    topic: 'Port of the hooks: 9000 or any',
    choice: 'any',
    async check() {
      await using rig = await controlPlaneRig();
      await send(rig, 'CreateMicrovmImage', { ...imageRequest, hooks: { ...hooks, port: 4711 } });
      await rig.t.settle();
      return rig.t.node.orders[0]?.hooks.port === 4711;
    },
  },
  {
    row: 27,
    topic: 'Resume of a RUNNING, Suspend of a SUSPENDED MicroVM: 409 or 200',
    choice: '200',
    check: () =>
      alive({}, async ({ rig, call, state }) => {
        await call('ResumeMicrovm');
        await call('SuspendMicrovm');
        await rig.t.settle();
        await call('SuspendMicrovm');
        return (await state()).state === 'SUSPENDED';
      }),
  },
  {
    row: 28,
    topic: 'Explicit resume: RUNNING at once, or PENDING first',
    choice: 'PENDING until `/resume` has answered',
    check: () =>
      alive({}, async ({ rig, call, state }) => {
        await call('SuspendMicrovm');
        await rig.t.settle();
        const gate = Promise.withResolvers<void>();
        rig.t.node.gates.resume = gate.promise;
        await call('ResumeMicrovm');
        const { state: meanwhile } = await state();
        gate.resolve();
        await rig.t.settle();
        return meanwhile === 'PENDING' && (await state()).state === 'RUNNING';
      }),
  },
  {
    row: 30,
    topic: '`suspendedDurationSeconds` after an explicit suspend: applies or not',
    choice: 'applies',
    check: () =>
      alive({ idlePolicy }, async ({ rig, call, state, pass }) => {
        await call('SuspendMicrovm');
        await rig.t.settle();
        await pass(59_000);
        const { state: before } = await state();
        await pass(2000);
        return before === 'SUSPENDED' && (await state()).state === 'TERMINATED';
      }),
  },
  {
    row: 44,
    topic: 'An idle policy for a worker with outbound traffic only: prescribed, or puts it to sleep',
    choice: 'puts it to sleep: only what comes in through the endpoint counts',
    check: () =>
      alive({ idlePolicy }, async ({ state, pass }) => {
        await pass(59_000);
        const { state: before } = await state();
        await pass(2000);
        return before === 'RUNNING' && (await state()).state === 'SUSPENDED';
      }),
  },
];
