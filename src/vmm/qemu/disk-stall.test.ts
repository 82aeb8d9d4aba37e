// A VM that the host's full disk has stopped: seen, continued when there is room, left alone while it is being saved.
import { EventEmitter } from 'node:events';
import { expect, test, vi } from 'vitest';
import { DiskStall } from './disk-stall.ts';

const full = { action: 'stop', nospace: true, operation: 'write', reason: 'No space left on device' };

/** A monitor whose disk is full for so many attempts. */
class Monitor extends EventEmitter<{ event: [string, unknown] }> {
  attempts = 0;
  readonly fullFor: number;
  constructor(fullFor: number) {
    super();
    this.fullFor = fullFor;
  }
  async execute(command: string): Promise<unknown> {
    if (command !== 'cont') throw new Error(command);
    if (++this.attempts <= this.fullFor) this.emit('event', 'BLOCK_IO_ERROR', full);
    return {};
  }
}

function scene(fullFor: number, mayContinue = () => true) {
  const monitor = new Monitor(fullFor);
  const stall = new DiskStall(monitor, mayContinue, { retryMs: 5, settleMs: 5 });
  const changes: boolean[] = [];
  stall.on('change', (stalled) => changes.push(stalled));
  return { monitor, stall, changes };
}

test('it goes on as soon as there is room, and says both once', async () => {
  const { monitor, stall, changes } = scene(3);
  for (let i = 0; i < 4; i++) monitor.emit('event', 'BLOCK_IO_ERROR', full);
  expect([stall.stalled, changes]).toEqual([true, [true]]);
  await vi.waitFor(() => expect(changes).toEqual([true, false]));
  expect([stall.stalled, monitor.attempts]).toEqual([false, 4]);
  // A second time is seen again.
  monitor.emit('event', 'BLOCK_IO_ERROR', full);
  await vi.waitFor(() => expect(changes).toEqual([true, false, true, false]));
  stall.close();
});

test('other errors are the guest’s, and other events nobody’s', () => {
  const { monitor, changes } = scene(0);
  monitor.emit('event', 'BLOCK_IO_ERROR', { ...full, nospace: false });
  monitor.emit('event', 'BLOCK_IO_ERROR', { ...full, action: 'report' });
  monitor.emit('event', 'STOP', {});
  expect(changes).toEqual([]);
});

test('a VM that is being saved is not continued; one that is gone is left', async () => {
  let saving = true;
  const { monitor, stall, changes } = scene(0, () => !saving);
  monitor.emit('event', 'BLOCK_IO_ERROR', full);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(monitor.attempts).toBe(0);
  saving = false;
  await vi.waitFor(() => expect(changes).toEqual([true, false]));
  monitor.emit('event', 'BLOCK_IO_ERROR', full);
  stall.close();
  const { attempts } = monitor;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(monitor.attempts).toBe(attempts);
});
