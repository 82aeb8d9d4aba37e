// What every answer of the JSON APIs has, whatever was asked: JSON, a request id, and an error's name in a header.
import { expect } from 'vitest';
import { exchange, parseAnswers, type RawAnswer } from './signed-request.ts';

/** Status and name of the error. */
export const outcome = (answer: RawAnswer | undefined): string =>
  `${answer?.status} ${answer?.headers['x-amzn-errortype']}`;

/** `bodiless` for answers to HEAD. */
export function checkAnswer(answer: RawAnswer | undefined, bodiless = false): asserts answer is RawAnswer {
  if (!answer) throw new Error('no answer');
  const { status, headers, body } = answer;
  expect(headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/);
  if (status === 204) return;
  expect(headers['content-type']).toBe('application/json');
  if (!bodiless) expect(JSON.parse(body)).toBeTypeOf('object');
  if (status >= 400) expect(headers['x-amzn-errortype']).toMatch(/^[A-Z]\w+Exception$/);
}

/** Sends bytes on a connection of their own; resolves with the first answer, checked. */
export async function ask(port: number, bytes: Uint8Array | string, bodiless = false): Promise<RawAnswer> {
  const [answer] = parseAnswers(await exchange(port, bytes), bodiless);
  checkAnswer(answer, bodiless);
  return answer;
}
