// The conformance tables in the documentation are those of this code, and what they say is good.
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { operations } from '../../src/contract/generated/operations.ts';
import { collectResults, page, type Results, reportText, withReport } from './report/report.ts';

let results: Results;
beforeAll(async () => {
  results = await collectResults();
});

test('every operation works', () => {
  expect(results.operations.map(({ operation }) => operation)).toEqual(Object.keys(operations).sort());
  expect(results.operations.filter(({ outcome }) => outcome !== 'works')).toEqual([]);
});

test('every operation knows its usual errors', () => {
  const usual = ['InternalServerException', 'ValidationException'];
  for (const { operation, seen } of results.operations) {
    expect(seen, operation).toEqual(expect.arrayContaining(usual));
  }
});

test('the errors of the door and the choices are as written', () => {
  expect(results.errors.filter(({ expected, got }) => expected !== got)).toEqual([]);
  expect(results.choices.filter(({ holds }) => !holds)).toEqual([]);
});

test('the committed tables are up to date: npm run conformance writes them', () => {
  const text = readFileSync(page, 'utf8');
  expect(text).toBe(withReport(text, reportText(results)));
});
