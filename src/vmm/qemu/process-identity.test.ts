// Processes are told apart by what the kernel says of them, also when their numbers or names are another's.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { end, identify, lives, markedProcess, runDirectoryIn, startTicksIn, untilGone } from './process-identity.ts';

const stat = (name: string, state: string, threads: number, ticks: number): string =>
  `4711 (${name}) ${state} 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 ${threads} 0 ${ticks} 123 456 789\n`;

test.each([
  ['an ordinary name', 'waterbear-vm', 'S', 3],
  ['a name that looks like the fields after it', 'x) Z 1 (', 'R', 1],
  ['a name with a line end', 'a\nb) ', 'S', 1],
  ['a first thread that ended before the others', 'waterbear-vm', 'Z', 2],
])('the start time is found behind %s', (_, name, state, threads) => {
  expect(startTicksIn(stat(name, state, threads, 987654321))).toBe(987654321);
});

test.each([
  ['waits for its parent', stat('waterbear-vm', 'Z', 1, 5)],
  ['is no more', stat('waterbear-vm', 'X', 1, 5)],
  ['has no line', ''],
  ['has half a line', '4711 (qemu) S 1 2 3'],
])('a process that %s has none', (_, text) => {
  expect(startTicksIn(text)).toBeUndefined();
});

test('the own process is who it is, and nobody who started at another time', () => {
  const self = identify(process.pid);
  expect(self?.startTicks).toBe(startTicksIn(readFileSync('/proc/self/stat', 'utf8')));
  expect(self && lives(self)).toBe(true);
  expect(lives({ pid: process.pid, startTicks: 1 })).toBe(false);
});

test('a number that is used again is not ended', async () => {
  const child = spawn('sleep', ['60']);
  try {
    const identity = identify(child.pid ?? 0);
    if (!identity) throw new Error('it has not started');
    end({ ...identity, startTicks: identity.startTicks - 1 });
    expect(lives(identity)).toBe(true);
    end(identity);
    await untilGone(identity);
    if (child.signalCode === null) await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
    end(identity);
  } finally {
    child.kill('SIGKILL');
  }
});

const qemu = ['/usr/bin/qemu-system-x86_64', '-S', '-chardev', 'socket,id=qmp,path=/run/wb/vm-1/qmp.sock,server=on'];
const launch = ['/x/bin/launch', 'netns=/run/netns/a', 'root=/run/wb/vm-1', 'scratch=/run/wb/vm-1', '--', '/bin/x'];

test.each([
  ['QEMU', '/usr/bin/qemu-system-x86_64', qemu, '/run/wb/vm-1'],
  ['QEMU that was replaced', '/usr/bin/qemu-system-x86_64 (deleted)', qemu, '/run/wb/vm-1'],
  ['the launcher', '/x/bin/launch', launch, '/run/wb/vm-1'],
  ['a program that says it is above', '/tmp/qemu-system-x', ['socket,id=qmp,path=/run/wb/../qmp,server'], undefined],
  ['a launcher that says it is above', '/tmp/launch', ['root=/run/wb/..'], undefined],
  ['one that says it is all of them', '/tmp/launch', ['root=/run/wb/.'], undefined],
  ['another program that was given the words', '/usr/bin/cat', qemu, undefined],
  ['another QEMU', '/usr/bin/qemu-system-x86_64', ['qemu-system-x86_64', '-m', '64'], undefined],
  ['an executable that cannot be read', '', qemu, undefined],
])('the run directory of %s', (_, executable, words, directory) => {
  expect(runDirectoryIn(executable, words)).toBe(directory);
});

test('a process that is no VMM is not marked', async () => {
  expect(await markedProcess(process.pid)).toBeUndefined();
  expect(await markedProcess(2 ** 22 + 1)).toBeUndefined();
});
