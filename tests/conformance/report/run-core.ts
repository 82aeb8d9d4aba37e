// Drives every operation of lambda-core and its errors twice, with requests signed by hand and with awscli, and writes down what came.
import { type CoreOperationName, coreOperations, coreStructures } from '../../../src/contract/lambda-core.ts';
import { describe } from '../../../src/lib/errors.ts';
import { type ControlPlaneRig, controlPlaneRig, credentials } from '../../fake/control-plane-rig.ts';
import { signedFetch } from '../../fake/signed-fetch.ts';
import { type AwsCli, openAwsCli } from '../../support/awscli.ts';
import { type Circumstance, coreErrorsOf, coreRequest, goodCalls, provocations } from './core-cases.ts';
import { withBrokenStore } from './faults.ts';
import type { Input } from './operation-cases.ts';
import type { Throttled } from './run-throttles.ts';

export interface CoreResult {
  operation: CoreOperationName;
  /** `works`, or what was wrong. */
  outcome: string;
  /** Errors of the model that both clients saw, and those that nothing provoked. */
  seen: string[];
  unseen: string[];
}

type Call = (operation: CoreOperationName, input: Input) => Promise<{ error: string; answer: Input }>;

export async function runCore(throttled: Throttled): Promise<CoreResult[]> {
  await using rig = await controlPlaneRig({ maxConnectors: 3 });
  await using cli = await openAwsCli({ endpoint: rig.url, region: 'us-east-1', credentials, attempts: 1 });
  const clients = { signed: signedCall(rig), awscli: cliCall(cli) };
  const outcomes = new Map<CoreOperationName, string>();
  for (const [operation, inputOf] of goodCalls) {
    for (const [name, call] of Object.entries(clients)) {
      const wrong = lacking(operation, await call(operation, inputOf(name)));
      if (wrong !== '' || !outcomes.has(operation))
        outcomes.set(operation, wrong === '' ? 'works' : `${name}: ${wrong}`);
      await rig.t.settle();
    }
  }
  const seen = new Map<string, string[]>([...outcomes.keys()].map((operation) => [operation, []]));
  for (const when of ['ordinary', 'full', 'stuck', 'broken'] as const) {
    await under(when, rig, async () => {
      for (const { operation, error, input } of provocations.filter((each) => each.when === when)) {
        const both = await Promise.all(Object.values(clients).map((call) => call(operation, input)));
        if (both.every((got) => got.error === error)) seen.get(operation)?.push(error);
      }
    });
  }
  return [...outcomes].map(([operation, outcome]) => {
    const got = [...(seen.get(operation) ?? []), throttled.get(operation)];
    const expected = [...coreErrorsOf(operation)].sort();
    return {
      ...{ operation, outcome },
      seen: expected.filter((error) => got.includes(error)),
      unseen: expected.filter((error) => !got.includes(error)),
    };
  });
}

/** What is missing in an answer; nothing when it is good. */
function lacking(operation: CoreOperationName, { error, answer }: Awaited<ReturnType<Call>>): string {
  if (error !== '') return error;
  const { members = {} } = coreStructures[coreOperations[operation].output ?? ''] ?? {};
  const names = Object.entries(members).filter(([name, { required }]) => required && answer[name] === undefined);
  return names.length === 0 ? '' : `lacks ${names.map(([name]) => name).join(', ')}`;
}

const signedCall =
  (rig: ControlPlaneRig): Call =>
  async (operation, input) => {
    const { path, ...how } = coreRequest(operation, input);
    const response = await signedFetch(rig, path, how);
    const answer = (await response.json()) as Input;
    const { status } = coreOperations[operation];
    const error =
      response.headers.get('x-amzn-errortype') ?? (response.status === status ? '' : String(response.status));
    return { error, answer };
  };

const kebab = (name: string): string => name.replaceAll(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();

const cliCall =
  (cli: AwsCli): Call =>
  async (operation, input) => {
    const args = ['lambda-core', kebab(operation), '--cli-input-json', JSON.stringify(input)];
    try {
      return { error: '', answer: await cli.call(...args) };
    } catch (error) {
      const text = describe(error);
      return { error: /An error occurred \((\w+)\)/.exec(text)?.[1] ?? text, answer: {} };
    }
  };

/** Does the work on a server that has the connector `there` and is as `when` says. */
async function under(when: Circumstance, rig: ControlPlaneRig, work: () => Promise<void>): Promise<void> {
  const create = (name: string) => signedCall(rig)('CreateNetworkConnector', goodCalls[0]?.[1](name) ?? {});
  await create('there');
  await rig.t.settle();
  if (when === 'broken') return withBrokenStore(rig, work);
  if (when === 'full') await Promise.all(['one', 'two'].map(create));
  const { db } = rig.t.store;
  const state = (now: 'PENDING' | 'ACTIVE') =>
    db.updateTable('networkConnectors').set({ state: now }).where('name', '=', 'there').execute();
  if (when === 'stuck') await state('PENDING');
  await work();
  if (when === 'stuck') await state('ACTIVE');
}
