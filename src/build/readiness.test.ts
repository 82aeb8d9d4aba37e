import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { type BuildHook, isoDuration, pollHook } from './readiness.ts';

const refused = (): Fault =>
  new Fault('guest_failed', { what: 'answered refused: nothing listens', guestCode: 'refused' });
const gone = (): Fault => new Fault('guest_failed', { what: 'went away' });
const readiness = { intervalMs: 2 };

/** Polls an application that gives these answers, the last one for ever. */
async function poll(answers: (number | Fault)[], hook: Partial<BuildHook> = {}, signal?: AbortSignal) {
  const asked: unknown[][] = [];
  let log = '';
  const guest = {
    async hook(...question: unknown[]): Promise<number> {
      const answer = answers[Math.min(asked.push(question), answers.length) - 1];
      if (typeof answer !== 'number') throw answer;
      return answer;
    },
  };
  const whole = { name: 'validate', port: 9000, seconds: 600, ...hook } as const;
  const onLog = (text: string): void => {
    log += text;
  };
  const outcome = await pollHook(guest, whole, readiness, onLog, signal).then(
    () => 'good',
    (error: unknown) => error,
  );
  return { asked, log, outcome };
}

test('503 and a port that does not answer are asked again until 200, within one time', async () => {
  const { asked, log, outcome } = await poll([refused(), refused(), 503, 503, 200]);
  expect(outcome).toBe('good');
  expect(asked.map(([port, name, body]) => [port, name, body])).toEqual(Array(5).fill([9000, 'validate', undefined]));
  const times = asked.map(([, , , ms]) => Number(ms));
  expect(times[0]).toBeLessThanOrEqual(600_000);
  expect(times.at(-1)).toBeLessThan(times[0] ?? 0);
  // What is said again is not told again.
  expect(log.trim().split('\n')).toEqual([
    expect.stringContaining('nothing listens'),
    '--- the validate hook on port 9000: HTTP 503',
    '--- the validate hook on port 9000: HTTP 200',
  ]);
});

test.each([
  [500, 'server error (HTTP 500)'],
  [404, 'client error (HTTP 404)'],
  [302, 'an answer other than 200 (HTTP 302)'],
  [204, 'an answer other than 200 (HTTP 204)'],
])('%d fails at once', async (status, words) => {
  const validate = await poll([503, status, 200]);
  expect(validate.outcome).toMatchObject({ message: `VALIDATE_HOOK_FAILED: Validate hook check failed: ${words}` });
  expect(validate.asked).toHaveLength(2);
  const ready = await poll([status], { name: 'ready' });
  expect(ready.outcome).toMatchObject({ message: `READY_HOOK_FAILED: Ready hook check failed: ${words}` });
});

test.each([
  ['503', 503],
  ['no answer', new Fault('deadline_exceeded', { what: 'The hook', ms: 1 })],
  ['a closed port', refused()],
])('%s to the end is a timeout', async (_, answer) => {
  const { outcome } = await poll([answer], { seconds: 0.05 });
  expect(outcome).toMatchObject({ code: 'build_failed', message: expect.stringContaining('timed out after PT') });
});

test('a guest that is gone and a cancelled build end the poll', async () => {
  const lost = gone();
  expect((await poll([503, lost])).outcome).toBe(lost);
  expect((await poll([503], {}, AbortSignal.timeout(20))).outcome).toMatchObject({ code: 'aborted' });
});

test('durations are written as AWS writes them', () => {
  expect([1, 30, 60, 90, 300, 600, 3600, 3599].map(isoDuration)).toEqual([
    ...['PT1S', 'PT30S', 'PT1M', 'PT1M30S', 'PT5M', 'PT10M', 'PT1H', 'PT59M59S'],
  ]);
});
