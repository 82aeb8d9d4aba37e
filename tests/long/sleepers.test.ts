// Many sleepers are no burden: no process of theirs runs, and nobody waits longer because of them. `npm run bench -- --only sleepers` has numbers.
import { expect, test } from 'vitest';
import { measureSleepers } from '../../bench/sleepers.ts';

/** What noise may make of a ratio that is one. */
const noise = 3;

test('forty sleeping MicroVMs have no VMM, and calls, wakes and starts do not wait for them', async () => {
  const { vmms, diskKibEach, few, many } = await measureSleepers({ sleepers: 40, runs: 5 });
  expect(vmms).toBe(0);
  // What a small application changes, far below its memory.
  expect(diskKibEach).toBeLessThan(32 * 1024);
  for (const name of ['getMs', 'wakeMs', 'startMs'] as const) expect(many[name] / few[name], name).toBeLessThan(noise);
});
