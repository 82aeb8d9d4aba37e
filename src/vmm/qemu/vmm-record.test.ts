// What an earlier server left is believed only when it is whole, of this boot and of a VM that ran.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findRunning } from './adoption.ts';
import { identify, readBootId } from './process-identity.ts';
import {
  isRunDirectory,
  openRunDirectory,
  parseVmmRecord,
  readVmmRecord,
  removeRunDirectory,
  runningRecord,
  type VmmRecord,
  writeVmmRecord,
} from './vmm-record.ts';

const sound: Omit<VmmRecord, 'format'> = {
  bootId: 'this-boot',
  phase: 'running',
  process: { pid: 4711, startTicks: 123 },
  group: 'vm-1-0a1b2c3d',
  restored: { image: 'a'.repeat(64), memory: '1:2', topLayer: 'layer-1.qcow2', lowerLayers: [] },
};
const text = (changes: object = {}): string => JSON.stringify({ format: 1, ...sound, ...changes });

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'waterbear-record-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

test.each([
  ['empty', ''],
  ['cut off', text().slice(0, -20)],
  ['of another format', text({ format: 2 })],
  ['without a boot', text({ bootId: undefined })],
  ['of an unknown phase', text({ phase: 'dreaming' })],
  ['of process 0', text({ process: { pid: 0, startTicks: 1 } })],
  ['of no whole number', text({ process: { pid: 1.5, startTicks: 1 } })],
  ['with a group elsewhere', text({ group: '../../other' })],
  ['with layers of another shape', text({ restored: { ...sound.restored, lowerLayers: ['x'] } })],
])('a record that is %s is none', (_, damaged) => {
  expect(parseVmmRecord(damaged)).toBeUndefined();
});

test.each([
  ['of another boot', { bootId: 'earlier' }],
  ['of a VM that was still being started', { phase: 'starting' }],
  ['without a process', { process: undefined }],
  ['without a group', { group: undefined }],
  ['of a VM that was not restored', { restored: undefined }],
])('a record %s says nothing to adopt', (_, changes) => {
  expect(runningRecord(parseVmmRecord(text(changes)), 'this-boot')).toBeUndefined();
  expect(runningRecord(parseVmmRecord(text()), 'this-boot')).toMatchObject({ process: { pid: 4711 } });
});

test('a process with the number, even with the start time, is not adopted unless it is a VMM', async () => {
  const directory = join(root, 'vm-1');
  const bootId = await readBootId();
  await openRunDirectory(directory, bootId);
  const self = identify(process.pid);
  if (!self) throw new Error('no process');
  for (const one of [self, { ...self, startTicks: self.startTicks + 1 }, { pid: 2 ** 22 + 1, startTicks: 1 }]) {
    await writeVmmRecord(directory, { ...sound, bootId, process: one });
    expect(runningRecord(await readVmmRecord(directory), bootId)).toBeDefined();
    expect(await findRunning(directory, bootId)).toBeUndefined();
  }
});

test('a run directory has a record from its first to its last moment', async () => {
  const directory = join(root, 'vm-1');
  await openRunDirectory(directory, 'b');
  expect(await readVmmRecord(directory)).toEqual({ format: 1, bootId: 'b', phase: 'starting' });
  await writeFile(join(directory, 'vmm.json'), 'damaged');
  expect(await readVmmRecord(directory)).toBeUndefined();
  expect(await isRunDirectory(directory)).toBe(true);
  // What an earlier life left is replaced.
  await openRunDirectory(directory, 'c');
  expect(await readVmmRecord(directory)).toMatchObject({ bootId: 'c' });
  await removeRunDirectory(directory);
  await removeRunDirectory(directory);
  expect(await readdir(root)).toEqual([]);
});
