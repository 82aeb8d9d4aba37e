// A stage is never shared by two living demos, and one that is left behind is used again.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takeStage } from './stage-directory.ts';

const deadPid = 2 ** 22 + 1;
let parent = '';
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'stage-'));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

test('two living demos get two stages', async () => {
  const names = [await takeStage(parent), await takeStage(parent)].map((path) => basename(path));
  expect(names).toEqual(['d1', 'd2']);
});

test('the stage of a dead demo is used again', async () => {
  await takeStage(parent, deadPid);
  expect(basename(await takeStage(parent))).toBe('d1');
});

test('a server that still stops keeps its stage', async () => {
  const stage = await takeStage(parent, deadPid);
  const urls = { apiUrl: 'http://127.0.0.1:1', s3Url: 'http://127.0.0.1:1' };
  const keys = { accessKeyId: 'AKIA', secretAccessKey: 's', region: 'us-east-1', caFile: '/ca.crt', gatewayPort: 1 };
  await writeFile(join(stage, 'server.json'), JSON.stringify({ ...urls, ...keys, pid: process.pid }));
  expect(basename(await takeStage(parent))).toBe('d2');
});
