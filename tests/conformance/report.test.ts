// The conformance tables in the documentation are those of this code, and what they say is good.
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { operations } from '../../src/contract/generated/operations.ts';
import { coreOperations } from '../../src/contract/lambda-core.ts';
import { reasonFor } from './report/reasons.ts';
import { collectResults, page, type Results, reportText, withReport } from './report/report.ts';

let results: Results;
beforeAll(async () => {
  results = await collectResults();
});

test('every operation works', () => {
  expect(results.operations.map(({ operation }) => operation)).toEqual(Object.keys(operations).sort());
  expect(results.core.map(({ operation }) => operation)).toEqual(Object.keys(coreOperations));
  expect([...results.operations, ...results.core].filter(({ outcome }) => outcome !== 'works')).toEqual([]);
});

test('every error of the model was provoked, or cannot occur for a reason that is written down', () => {
  const all = [...results.operations, ...results.core];
  for (const { operation, unseen } of all) {
    expect(
      unseen.filter((name) => reasonFor(operation, name) === undefined),
      operation,
    ).toEqual([]);
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
