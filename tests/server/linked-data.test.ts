// A data directory has one name for the machine, however it is written: by it the next server finds the journal and the VMMs of the last one.
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { instanceOf } from '../../src/node/layout.ts';
import { startTestServer } from '../support/server.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-linked-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a server that is started by way of a link is the one of the directory itself', async () => {
  const [data, link] = [join(directory, 'data'), join(directory, 'link')];
  await mkdir(data);
  await symlink(data, link);
  const server = await startTestServer({ driver: 'fake', dataDirectory: link });
  try {
    const run = await readdir('/run');
    expect(run).toContain(`waterbear-${instanceOf(data)}`);
    expect(run).not.toContain(`waterbear-${instanceOf(link)}`);
  } finally {
    await server.close();
  }
});
