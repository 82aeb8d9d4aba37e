// The memory of an image is taken from another process only when it is the very file.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { memoryKey, shareMemoryFile } from './memfd.ts';

let directory: string;
const stops: (() => void)[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wb-memfd-'));
});
afterEach(async () => {
  for (const stop of stops.splice(0)) stop();
  await rm(directory, { recursive: true });
});

/** A process that has a file, or nothing, as descriptor 3, and the key of the file. */
function holder(content: string | undefined): { pid: number; key: string } {
  const path = join(directory, 'memory');
  writeFileSync(path, content ?? '');
  const fd = openSync(path, 'r+');
  const child = spawn('sleep', ['60'], {
    stdio: ['ignore', 'ignore', 'ignore', content === undefined ? 'ignore' : fd],
  });
  stops.push(() => child.kill('SIGKILL'));
  const key = memoryKey(fd);
  closeSync(fd);
  return { pid: child.pid ?? 0, key };
}

test('the file is shared', () => {
  const memory = shareMemoryFile(holder('1234'), 'name', 4);
  if (!memory) throw new Error('it was not shared');
  const bytes = Buffer.alloc(4);
  readSync(memory.fd, bytes, 0, 4, 0);
  expect([bytes.toString(), memory.name, memory.bytes]).toEqual(['1234', 'name', 4]);
  memory.close();
});

test('another file, another length, no file, no process: nothing is shared', () => {
  const held = holder('1234');
  expect(shareMemoryFile({ ...held, key: '1:1' }, 'name', 4)).toBeUndefined();
  expect(shareMemoryFile(held, 'name', 5)).toBeUndefined();
  expect(shareMemoryFile({ ...held, pid: 2 ** 22 + 1 }, 'name', 4)).toBeUndefined();
  expect(shareMemoryFile(holder(undefined), 'name', 0)).toBeUndefined();
});
