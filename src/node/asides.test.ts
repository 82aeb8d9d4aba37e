// What an earlier server left half removed keeps its name, however often it resists.
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { setFileFaults } from '../lib/disk-faults.ts';
import { silentLog } from '../lib/log.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { clearAsides } from './asides.ts';
import { Cleaning } from './cleaning.ts';
import { nodeLayout } from './layout.ts';

afterEach(() => setFileFaults(undefined));

test('what resists is listed under the name that it has, and goes when it can', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-asides-'));
  try {
    const layout = nodeLayout(directory, 'ab12', join(directory, 'run'));
    const names = ['one.0123abcd.removed'];
    await mkdir(join(layout.images, names[0] ?? ''), { recursive: true });
    const start = async (): Promise<Cleaning> => {
      const cleaning = new Cleaning(new ManualClock(), silentLog);
      await clearAsides({ layout, cleaning, log: silentLog });
      return cleaning;
    };
    setFileFaults((operation) => (operation === 'remove' ? { error: new Error('EPERM') } : undefined));
    const cleaning = await start();
    expect(await readdir(layout.images)).toEqual(names);
    expect(cleaning.leftovers).toMatchObject([{ what: join(layout.images, ...names), why: 'EPERM', attempts: 1 }]);
    cleaning.close();
    setFileFaults(undefined);
    (await start()).close();
    expect(await readdir(layout.images)).toEqual([]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
