// Which operations say that they are called too often: each is called many times at once on a server of profile aws.
import type { OperationName } from '../../../src/contract/generated/operations.ts';
import type { CoreOperationName } from '../../../src/contract/lambda-core.ts';
import { signedFetch } from '../../fake/signed-fetch.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { goodCalls as coreCalls, coreRequest } from './core-cases.ts';
import { goodCalls, lastCalls, send } from './operation-cases.ts';

/** By operation, the name of the error that was answered with 429. */
export type Throttled = ReadonlyMap<OperationName | CoreOperationName, string>;

/** Requests at once: more and more, so that on a slow machine, too, they are faster than what flows back meanwhile. */
const sizes = [60, 120, 240, 480, 960];

const nothing = { microvmId: 'microvm-x', endedMicrovmId: 'microvm-x', buildId: 'x' };

export async function runThrottles(): Promise<Throttled> {
  const server = await startTestServer({ driver: 'fake', profile: 'aws' });
  try {
    const throttled = new Map<OperationName | CoreOperationName, string>();
    for (const [operation, call] of calls(server)) {
      const error = await burst(call);
      if (error !== undefined) throttled.set(operation, error);
    }
    return throttled;
  } finally {
    await server.close();
  }
}

/** What each is called with does not matter: who calls too often is told so before anything is looked at. */
function calls(server: TestServer): [OperationName | CoreOperationName, () => Promise<string | undefined>][] {
  const { apiUrl: url, credentials } = server.server;
  return [
    ...[...goodCalls, ...lastCalls].map(([operation, inputOf]): ReturnType<typeof calls>[number] => {
      const input = inputOf(nothing);
      return [operation, () => send({ client: server.lambda }, operation, input).then(() => undefined, throttleName)];
    }),
    ...coreCalls.map(([operation, inputOf]): ReturnType<typeof calls>[number] => {
      const { path, ...how } = coreRequest(operation, inputOf('burst'));
      return [
        operation,
        async () => {
          const { status, headers } = await signedFetch({ url, credentials }, path, how);
          return status === 429 ? String(headers.get('x-amzn-errortype')) : undefined;
        },
      ];
    }),
  ];
}

const throttleName = (error: Error & { $metadata?: { httpStatusCode?: number } }): string | undefined =>
  error.$metadata?.httpStatusCode === 429 ? error.name : undefined;

async function burst(call: () => Promise<string | undefined>): Promise<string | undefined> {
  for (const length of sizes) {
    const names = await Promise.all(Array.from({ length }, call));
    const name = names.find((each) => each !== undefined);
    if (name !== undefined) return name;
  }
  return undefined;
}
