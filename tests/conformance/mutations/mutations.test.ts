// Thousands of requests that are almost right, for every API behind the door of a whole server on the fake driver: always an answer in AWS's
// form, never a 5xx, no request without an answer, nothing unhandled, no memory and no file kept. MUTATION_SEED replays another run.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkAnswer } from '../../support/json-answer.ts';
import { type Mutant, mutants } from '../../support/mutants/mutants.ts';
import { exchange, parseAnswers, type RawAnswer } from '../../support/signed-request.ts';
import type { Health, Ready } from './target-process.ts';

const seed = Number(process.env.MUTATION_SEED ?? 20_260_909);
const perBatch = 50;
const warmUp = 40;
const batches = 240;
const deadlineMs = 15_000;
const keptBytes = 24 << 20;
const keptFiles = 20;

let target: ChildProcess;
let port: number;
let mutant: fc.Arbitrary<Mutant>;

/** The next message of the server's process. Rejects when it ends. */
async function hear<T>(): Promise<T> {
  const ended = once(target, 'exit').then(([code, signal]) => {
    throw new Error(`The server ended with ${signal ?? code}.`);
  });
  const [message] = await Promise.race([once(target, 'message', { signal: AbortSignal.timeout(60_000) }), ended]);
  return message as T;
}

beforeAll(async () => {
  target = fork(join(import.meta.dirname, 'target-process.ts'), { execArgv: ['--expose-gc'] });
  const ready = await hear<Ready>();
  port = ready.port;
  mutant = mutants(ready.names, ready.s3Names, ready.credentials);
});
afterAll(async () => {
  if (target.exitCode !== null || target.signalCode !== null) return;
  const exit = once(target, 'exit');
  target.disconnect();
  await exit;
});

const statuses = new Map<string, number>();

/** S3 answers 501 for what it does not implement. */
function checkS3Answer({ status, headers, body }: RawAnswer, bodiless: boolean): void {
  if (status !== 501) expect(status).toBeLessThan(500);
  expect(headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/);
  if (status < 400 || bodiless) return;
  expect(headers['content-type']).toBe('application/xml');
  expect(body).toMatch(/<Error>.*<Code>\w+<\/Code>/s);
}

async function check({ door, what, bytes, mustAnswer, bodiless }: Mutant): Promise<void> {
  try {
    // What is not whole is followed by the end of the connection, or the server would rightly wait for the rest.
    const received = await exchange(port, bytes, { deadlineMs, answers: mustAnswer ? 1 : 0, bodiless });
    const answers = parseAnswers(received, bodiless);
    if (mustAnswer) expect(answers.length).toBeGreaterThan(0);
    for (const answer of answers) {
      const counted = `${door} ${answer.status}`;
      statuses.set(counted, (statuses.get(counted) ?? 0) + 1);
      // Who damages the name of the service in a request for S3 is answered by the JSON APIs, and the other way round.
      if ('x-amz-request-id' in answer.headers) checkS3Answer(answer, bodiless);
      else {
        expect(answer.status).toBeLessThan(500);
        checkAnswer(answer, bodiless);
      }
    }
  } catch (error) {
    throw new Error(`${what}: ${error}\n${bytes.subarray(0, 2000).toString('latin1')}`, { cause: error });
  }
}

/** fast-check says seed and path when one fails. */
const run = (numRuns: number, from: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.array(mutant, { minLength: perBatch, maxLength: perBatch }), async (batch) => {
      await Promise.all(batch.map(check));
    }),
    { numRuns, seed: from, endOnFailure: true },
  );

async function health(): Promise<Health> {
  const heard = hear<Health>();
  target.send('health');
  return await heard;
}

test(`mutants of seed ${seed}`, { timeout: 240_000 }, async () => {
  await run(warmUp, seed + 1);
  const before = await health();
  await run(batches, seed);
  const after = await health();
  expect(after.keptBytes - before.keptBytes).toBeLessThan(keptBytes);
  expect(after.openFiles - before.openFiles).toBeLessThan(keptFiles);
  expect(after.unhandled).toEqual([]);
  expect(after.warnings).toEqual([]);
  expect(after.microvms).toBeGreaterThan(0);
  // Were all refused for one reason, nothing behind it would be tested.
  for (const counted of [
    'api 200',
    'api 400',
    'api 403',
    'api 404',
    'api 409',
    's3 200',
    's3 400',
    's3 403',
    's3 404',
  ]) {
    expect(statuses.get(counted) ?? 0, counted).toBeGreaterThan(20);
  }
});
