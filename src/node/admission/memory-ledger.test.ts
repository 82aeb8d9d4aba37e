// Promises of memory: never more than there is, whatever comes at the same time, and what a refusal says.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ManualClock } from '../../lib/manual-clock.ts';
import { type Hold, MemoryLedger } from './memory-ledger.ts';

const ledger = (offeredMib = 1000, clock = new ManualClock()) => ({
  memory: new MemoryLedger(offeredMib, clock),
  clock,
});
const image = { id: 'build', mib: 100 };

test('what was promised is refused to others, and the refusal has the numbers and what to do', () => {
  const { memory } = ledger();
  const hold = memory.hold({ mib: 700 });
  expect(() => memory.hold({ mib: 400 })).toThrow(
    'This host has no memory left for that: 400 MiB are needed; of 1000 MiB for MicroVMs and builds 700 MiB are committed, ' +
      '300 MiB are free. Suspend or terminate MicroVMs, or raise --memory.',
  );
  hold.release();
  hold.release();
  expect(memory.committedMib).toBe(0);
  memory.hold({ mib: 1000 });
  expect(() => memory.hold({ mib: 1 })).toThrow('0 MiB are free');
});

test('what will never fit says so at once, also to who would wait', async () => {
  const { memory } = ledger();
  const never = 'Ask for a smaller size, or raise --memory.';
  expect(() => memory.hold({ mib: 1001 })).toThrow(never);
  await expect(memory.waitFor({ mib: 1001 }, 1000)).rejects.toThrow(never);
});

test('memory that VMs of an image share is counted once, until the last of them is gone', () => {
  const { memory } = ledger();
  const [one, two] = [memory.hold({ mib: 200, shared: image }), memory.hold({ mib: 200, shared: image })];
  expect(memory.committedMib).toBe(500);
  one.release();
  expect(memory.committedMib).toBe(300);
  two.release();
  expect(memory.committedMib).toBe(0);
});

test('who waits gets room as soon as it is there, in order, and before newcomers', async () => {
  const { memory } = ledger();
  const hold = memory.hold({ mib: 900 });
  const got: string[] = [];
  const large = memory.waitFor({ mib: 800 }, 1000).then((held) => {
    got.push('large');
    return held;
  });
  const small = memory.waitFor({ mib: 100 }, 1000).then(() => got.push('small'));
  // It would fit, but would be taken from those who wait.
  expect(() => memory.hold({ mib: 50 })).toThrow('900 MiB are promised to MicroVMs that wake');
  hold.release();
  (await large).release();
  await small;
  expect(got).toEqual(['large', 'small']);
});

test('who waited too long hears why, and whoever it stood in the way of goes on', async () => {
  const { memory, clock } = ledger();
  memory.hold({ mib: 800 });
  const late = expect(memory.waitFor({ mib: 300 }, 15_000)).rejects.toThrow(
    'It waited 15 s for others to end or fall asleep. Suspend or terminate MicroVMs, or raise --memory.',
  );
  const small = memory.waitFor({ mib: 200 }, 20_000);
  await clock.advance(15_000);
  await late;
  await small;
  expect(memory.committedMib).toBe(1000);
});

test('who gives up leaves nothing behind; closing refuses all', async () => {
  const { memory } = ledger();
  const hold = memory.hold({ mib: 1000 });
  const cancel = new AbortController();
  const given = expect(memory.waitFor({ mib: 10 }, 1000, cancel.signal)).rejects.toMatchObject({ code: 'aborted' });
  cancel.abort();
  await given;
  const closed = expect(memory.waitFor({ mib: 10 }, 1000)).rejects.toMatchObject({ code: 'aborted' });
  memory.close();
  await closed;
  hold.release();
  expect(memory.committedMib).toBe(0);
});

test('never more than there is, and nothing left at the end, in any order of events', async () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constantFrom('hold', 'wait') as fc.Arbitrary<'hold' | 'wait'>,
      mib: fc.integer({ min: 1, max: 700 }),
      shared: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('release' as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 800 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { memory, clock } = ledger();
      const holds: Hold[] = [];
      for (const one of steps) {
        if (one.kind === 'release') holds.splice(one.which, 1)[0]?.release();
        else if (one.kind === 'time') await clock.advance(one.ms);
        else {
          const demand = { mib: one.mib, ...(one.shared ? { shared: image } : {}) };
          if (one.kind === 'wait')
            void memory.waitFor(demand, 500).then(
              (hold) => holds.push(hold),
              () => {},
            );
          else
            try {
              holds.push(memory.hold(demand));
            } catch {}
        }
        expect(memory.committedMib).toBeLessThanOrEqual(1000);
      }
      await clock.advance(1000);
      for (const hold of holds) hold.release();
      expect(memory.committedMib).toBe(0);
    }),
    { numRuns: 60 },
  );
});
