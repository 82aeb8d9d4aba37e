import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Journal } from './journal.ts';
import { nodeLayout } from './layout.ts';

let root = '';
let journal: Journal;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'waterbear-journal-'));
  journal = new Journal(nodeLayout(root, 'abcd', join(root, 'run')));
  await journal.open();
});
afterEach(() => rm(root, { recursive: true }));

const entry = { microvmId: 'microvm-a', act: 'wake', from: 3, orderGeneration: 7 } as const;

test('the next server reads what was written last, and nothing after it was cleared', async () => {
  await journal.write(entry);
  await journal.write({ ...entry, act: 'run', slot: 2 });
  expect(await journal.microvmIds()).toEqual(['microvm-a']);
  expect(await journal.read('microvm-a')).toEqual({ format: 1, ...entry, act: 'run', slot: 2 });
  await journal.clear('microvm-a');
  expect([await journal.microvmIds(), await journal.read('microvm-a')]).toEqual([[], undefined]);
});

test('changes take effect in the order in which they were asked for', async () => {
  for (let round = 0; round < 20; round++) {
    await Promise.all([journal.clear('microvm-a'), journal.write(entry), journal.write({ ...entry, act: 'run' })]);
    expect((await journal.read('microvm-a'))?.act).toBe('run');
    await Promise.all([journal.write(entry), journal.clear('microvm-a')]);
    expect(await journal.read('microvm-a')).toBeUndefined();
  }
});

test.each([
  ['', 'empty'],
  ['{"format":1,"microvmId":"microvm-a","act":"ru', 'cut off'],
  [JSON.stringify({ format: 2, ...entry }), 'of another format'],
  [JSON.stringify({ format: 1, ...entry, act: 'dance' }), 'of an unknown act'],
  [JSON.stringify({ format: 1, ...entry, microvmId: 'microvm-b' }), "another's"],
])('an entry that cannot be trusted (%s, %s) is none, but its MicroVM is known', async (text) => {
  await writeFile(join(root, 'run', 'journal', 'microvm-a.json'), text);
  expect(await journal.read('microvm-a')).toBeUndefined();
  expect(await journal.microvmIds()).toEqual(['microvm-a']);
});
