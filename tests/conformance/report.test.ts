// The conformance tables in the documentation are those of this code, and what they say is good.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { operations } from '../../src/contract/generated/operations.ts';
import { coreOperations } from '../../src/contract/lambda-core.ts';
import { noMatterOfServers, shownByTests } from './report/choices/elsewhere.ts';
import { reasonFor } from './report/reasons.ts';
import { collectResults, page, type Results, reportText, withReport } from './report/report.ts';

let results: Results;
beforeAll(async () => {
  results = await collectResults();
}, 240_000);

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
  expect(results.choices.filter(({ holds }) => holds === 'NO')).toEqual([]);
});

test('every contradiction of the reference is among the choices, and the tests that show some of them exist', () => {
  const rows = [...results.choices.map(({ row }) => row), ...noMatterOfServers];
  expect(rows.sort((a, b) => a - b)).toEqual(Array.from({ length: 45 }, (_, i) => i + 1));
  for (const { file, test: name } of shownByTests.flatMap(({ by }) => by)) {
    expect(readFileSync(join(import.meta.dirname, '../..', file), 'utf8')).toContain(`('${name}'`);
  }
});

test('the committed tables are up to date: npm run conformance writes them', () => {
  const text = readFileSync(page, 'utf8');
  expect(text).toBe(withReport(text, reportText(results)));
});
