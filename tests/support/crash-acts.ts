// A server on real VMs that is killed at steps of its acts, one act and one step after the other. A second MicroVM runs all the time, and must not notice.
import { randomUUID } from 'node:crypto';
import type { GetMicrovmResponse } from '@aws-sdk/client-lambda-microvms';
import { expect } from 'vitest';
import { instanceOf } from '../../src/node/layout.ts';
import { CrashingServer } from './crashing-server.ts';
import { leftovers } from './leftovers.ts';
import { projectZip } from './real-node.ts';
import { buildImage, poll, sendRequest, type Token, untilState } from './server.ts';
import { vmmsOf } from './vmms.ts';

export interface CrashPlace {
  readonly data: string;
  readonly server: CrashingServer;
  readonly imageArn: string;
  /** Ends all and compares what is left on the machine. */
  close(): Promise<void>;
}

export interface CrashedActs {
  /** Act and step of each crash. */
  crashes: string[];
  /** Sentences. */
  wrong: string[];
}

export async function openCrashPlace(data: string): Promise<CrashPlace> {
  const server = new CrashingServer(data);
  await server.start();
  await server.current.s3.createBucket({ Bucket: 'test-bucket' });
  const { imageArn } = await buildImage(server.current, 'state', await projectZip('state'));
  const close = async (): Promise<void> => {
    await server.stop();
    expect((await leftovers()).filter((text) => text.includes(instanceOf(data)))).toEqual([]);
  };
  return { data, server, imageArn, close };
}

/** A MicroVM that counts its requests. */
class Counter {
  readonly #place: CrashPlace;
  readonly clientToken: string = randomUUID();
  #token: Token | undefined;
  id = '';
  count = 0;

  constructor(place: CrashPlace) {
    this.#place = place;
  }

  get #lambda() {
    return this.#place.server.current.lambda;
  }

  /** Repeated after a crash it answers as before. */
  async run(): Promise<void> {
    const { imageArn: imageIdentifier } = this.#place;
    const { microvmId = '' } = await this.#lambda.runMicrovm({ imageIdentifier, clientToken: this.clientToken });
    if (this.id !== '') expect(microvmId).toBe(this.id);
    this.id = microvmId;
  }

  suspend = () => this.#lambda.suspendMicrovm({ microvmIdentifier: this.id });
  resume = () => this.#lambda.resumeMicrovm({ microvmIdentifier: this.id });
  terminate = () => this.#lambda.terminateMicrovm({ microvmIdentifier: this.id });
  until = (state: GetMicrovmResponse['state']) => untilState(this.#lambda, this.id, state);

  /** It has lost nothing, and is asked once more. */
  async asked(): Promise<void> {
    const order = { microvmIdentifier: this.id, expirationInMinutes: 60, allowedPorts: [{ port: 8080 }] };
    this.#token ??= (await this.#lambda.createMicrovmAuthToken(order)).authToken ?? {};
    const { endpoint = '' } = await this.#lambda.getMicrovm({ microvmIdentifier: this.id });
    const { status, body } = await sendRequest(this.#place.server.current.ca, endpoint, this.#token, '/', undefined);
    this.count += 1;
    expect([status, status === 200 && JSON.parse(body)]).toEqual([200, expect.objectContaining({ count: this.count })]);
  }
}

interface Act {
  name: string;
  /** May be repeated. */
  ask(vm: Counter): Promise<unknown>;
  state: 'RUNNING' | 'SUSPENDED' | 'TERMINATED';
}

const acts: readonly Act[] = [
  { name: 'launch', ask: (vm) => vm.run(), state: 'RUNNING' },
  { name: 'suspend', ask: (vm) => vm.suspend(), state: 'SUSPENDED' },
  { name: 'resume', ask: (vm) => vm.resume(), state: 'RUNNING' },
  { name: 'terminate', ask: (vm) => vm.terminate(), state: 'TERMINATED' },
];

/** `wanted`: whether the server is to be killed at this step of this act, by its place among the act's kinds of steps. */
export async function crashAtSteps(
  place: CrashPlace,
  wanted: (act: string, index: number, step: string) => boolean,
): Promise<CrashedActs> {
  const witness = new Counter(place);
  await witness.run();
  await witness.until('RUNNING');
  await witness.asked();
  const pids = vmmsOf(place.data, witness.id);
  const plans = await planned(place, wanted);
  const crashes: string[] = [];
  const wrong: string[] = [];
  for (let round = 0; [...plans.values()].some((steps) => round < steps.length); round++) {
    const vm = new Counter(place);
    for (const act of acts) {
      const step = plans.get(act.name)?.[round];
      const what = `${act.name}, killed at: ${step ?? 'nothing'}`;
      try {
        if (await crashIn(place, vm, act, step)) crashes.push(what);
        await witness.asked();
        expect(vmmsOf(place.data, witness.id), 'the VMM of another').toEqual(pids);
      } catch (error) {
        wrong.push(`${what}: ${error instanceof Error ? error.message : error}`);
        break;
      }
    }
    await vm.terminate().catch(() => {});
    await poll('the end of its VMM', async () => (vmmsOf(place.data).length === 1 ? true : undefined));
  }
  await witness.terminate();
  await witness.until('TERMINATED');
  return { crashes, wrong };
}

/** Which kinds of steps an act has, found by doing it once. */
async function planned(
  place: CrashPlace,
  wanted: (act: string, index: number, step: string) => boolean,
): Promise<Map<string, string[]>> {
  const plans = new Map<string, string[]>();
  const vm = new Counter(place);
  for (const act of acts) {
    const steps = await place.server.steps(async () => {
      await act.ask(vm);
      await vm.until(act.state);
    });
    plans.set(
      act.name,
      steps.filter((step, index) => wanted(act.name, index, step)),
    );
  }
  return plans;
}

/** Resolves with whether the server was killed. */
async function crashIn(
  { server, data }: CrashPlace,
  vm: Counter,
  act: Act,
  step: string | undefined,
): Promise<boolean> {
  const { name, ask, state } = act;
  let wasAnswered = false;
  const work = async (): Promise<void> => {
    await ask(vm);
    wasAnswered = true;
    await vm.until(state);
  };
  const wasKilled = step !== undefined && (await server.endsAt(step, work));
  // Whoever had no answer asks again. What was answered comes to its end without that; a launch is asked for again all the same, and stays one.
  if (!wasAnswered || name === 'launch') await ask(vm);
  await vm.until(state);
  if (state === 'RUNNING') await vm.asked();
  const expected = state === 'RUNNING' ? 2 : 1;
  await poll(`${name}: ${expected} VMMs`, async () => (vmmsOf(data).length === expected ? true : undefined));
  return wasKilled;
}
