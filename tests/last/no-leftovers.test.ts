// Runs after every other test, failed ones too: nothing of ours is left on the machine.
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { leftovers } from '../support/leftovers.ts';

test('no process, namespace, link, nft table, run directory or mount is left', async () => {
  // The last server's slots may still be on their way out.
  await expect.poll(leftovers, { timeout: 10_000 }).toEqual([]);
});

test('no temporary directory is left', async () => {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith('waterbear-'));
  expect(names).toEqual([]);
});
