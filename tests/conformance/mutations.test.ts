// Ten thousand requests that are almost right, against a whole server on the fake driver: always an answer in AWS's form, never a 5xx, and no memory kept.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Mutant, mutants } from '../support/mutants.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { exchange, parseAnswers } from '../support/signed-request.ts';
import { zipOf } from '../support/zip.ts';

const seed = 20_260_909;
const perBatch = 50;
const warmUp = 30;
const batches = 200;
const deadlineMs = 15_000;
const keptBytes = 32 << 20;

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

let it: TestServer;
let port: number;
let mutant: fc.Arbitrary<Mutant>;
const unhandled: unknown[] = [];
const remember = (reason: unknown): void => void unhandled.push(reason);

beforeAll(async () => {
  process.on('unhandledRejection', remember);
  it = await startTestServer({ driver: 'fake' });
  const { imageArn } = await it.build('app', zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
  const { id: microvmId } = await it.run(imageArn);
  const builds = await it.lambda.listMicrovmImageBuilds({ imageIdentifier: imageArn, imageVersion: '1.0' });
  port = Number(new URL(it.server.apiUrl).port);
  mutant = mutants({ imageArn, microvmId, buildId: builds.items?.[0]?.buildId ?? '' }, it.server.credentials);
});
afterAll(async () => {
  await it.close();
  process.off('unhandledRejection', remember);
});

const statuses = new Map<number, number>();

async function check({ what, bytes, mustAnswer, bodiless }: Mutant): Promise<void> {
  // What is not whole is followed by the end of the connection, or the server would rightly wait for the rest.
  const answers = parseAnswers(
    await exchange(port, bytes, { deadlineMs, answers: mustAnswer ? 1 : 0, bodiless }),
    bodiless,
  );
  if (mustAnswer) expect(answers.length, what).toBeGreaterThan(0);
  for (const { status, headers, body } of answers) {
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    expect(status, `${what}: ${body}`).toBeLessThan(500);
    expect(headers['x-amzn-requestid'], what).toMatch(/^[0-9a-f-]{36}$/);
    if (status === 204) continue;
    expect(headers['content-type'], what).toBe('application/json');
    if (!bodiless) expect(JSON.parse(body), what).toBeTypeOf('object');
    if (status >= 400) expect(headers['x-amzn-errortype'], what).toMatch(/^[A-Z]\w+Exception$/);
  }
}

const run = (numRuns: number, from: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.array(mutant, { minLength: perBatch, maxLength: perBatch }), async (batch) => {
      await Promise.all(batch.map(check));
    }),
    { numRuns, seed: from, endOnFailure: true },
  );

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

test('mutants', { timeout: 240_000 }, async () => {
  await run(warmUp, seed + 1);
  const before = heapBytes();
  await run(batches, seed);
  expect(heapBytes() - before).toBeLessThan(keptBytes);
  expect(unhandled).toEqual([]);
  // Were all refused for one reason, nothing behind it would be tested.
  for (const status of [200, 400, 403, 404, 409]) expect(statuses.get(status) ?? 0, String(status)).toBeGreaterThan(20);
  expect((await it.lambda.listMicrovms({})).items?.length).toBeGreaterThan(0);
});
