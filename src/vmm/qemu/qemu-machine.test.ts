// What a suspend that fails leads to: a VMM that dies meanwhile is told from a guest that does not go on.
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { Fault } from '../../lib/errors.ts';
import type { GuestClient } from '../guest-client.ts';
import { QemuMachine } from './qemu-machine.ts';
import type { VmmExit, VmmProcess } from './vmm-process.ts';

const killed: VmmExit = { exitCode: undefined, signal: 'SIGKILL', errors: '', outOfMemory: false };
const goneAway = new Fault('guest_failed', { what: 'went away' });

/** A VM whose guest's connection breaks when it is to be put to sleep. */
function machineOf(execute: (command: string) => Promise<unknown>) {
  const { promise: exited, resolve: exit } = Promise.withResolvers<VmmExit>();
  const kill = vi.fn(async () => exit(killed));
  const qmp = Object.assign(new EventEmitter(), { execute, close: () => {} });
  const streams = { console: new PassThrough(), log: new PassThrough() };
  const process = { pid: 1, qmp, exited, kill, ...streams } as unknown as VmmProcess;
  const guest = Object.assign(new EventEmitter(), {
    exited: new Promise(() => {}),
    quiesce: async () => Promise.reject(goneAway),
    thaw: async () => Promise.reject(goneAway),
    close: () => {},
  }) as unknown as GuestClient;
  const saver = { commit: async () => {}, abandon: async () => {}, bytes: async () => 0 };
  const machine = new QemuMachine({
    ...{ process, guest, stages: {}, repaired: [], onConsole: undefined, imageSaver: undefined },
    ...{ suspendSaver: () => saver, release: async () => {} },
  });
  return { machine, exit, kill };
}

test('a VMM that dies while it is put to sleep has died, whatever breaks first', async () => {
  const { machine, exit, kill } = machineOf(async (command) => {
    throw new Fault('vmm_failed', { what: `was gone before ${command}` });
  });
  const suspended = machine.suspend('/nowhere');
  // The kernel closes its sockets before its parent hears of its end.
  setTimeout(() => exit(killed), 20);
  await expect(suspended).rejects.toThrow('went away');
  expect(await machine.ended).toMatchObject({
    cause: 'vmm_died',
    what: 'The virtual machine monitor ended with signal SIGKILL.',
  });
  expect(kill).not.toHaveBeenCalled();
});

test('a guest that does not go on after a failed suspend has crashed, when its VMM still answers', async () => {
  const { machine, kill } = machineOf(async () => ({}));
  await expect(machine.suspend('/nowhere')).rejects.toThrow('went away');
  expect(await machine.ended).toMatchObject({ cause: 'guest_crashed', what: expect.stringContaining('did not go on') });
  expect(kill).toHaveBeenCalled();
});
