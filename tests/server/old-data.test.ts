// A whole data directory as the first version left it: rows, images, sleeping MicroVMs, token keys, all in their first forms. Today's server goes
// on with it.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDatabaseFile } from '../../src/store/check-database.ts';
import { scrubbed } from '../support/scrub.ts';
import { startTestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const account = '123456789012';
const buildId = 'b0000000-0000-4000-8000-000000000001';
const imageArn = `arn:aws:lambda:us-east-1:${account}:microvm-image:demo`;
let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'waterbear-old-'));
});
afterEach(() => rm(data, { recursive: true, force: true }));

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

async function put(content: unknown, ...path: string[]): Promise<string> {
  const text = typeof content === 'string' ? content : JSON.stringify(content, null, 1);
  await mkdir(join(data, ...path.slice(0, -1)), { recursive: true });
  await writeFile(join(data, ...path), text);
  return text;
}

/** The fixture's MicroVMs are of one day; they may be no older than their maximum duration. */
async function putDatabase(): Promise<void> {
  const sqlite = new SqliteDatabase(join(data, 'waterbear.db'));
  sqlite.exec(await readFile(join(import.meta.dirname, '../../src/store/testing/schema-005.sql'), 'utf8'));
  const by = Date.now() - 60_000 - 1_767_225_700_000;
  const move = (...columns: string[]): string => columns.map((name) => `${name} = ${name} + ${by}`).join();
  sqlite.exec(`update microvms set ${move('started_at_ms', 'launched_at_ms', 'suspended_at_ms', 'terminated_at_ms')};
    update usage_intervals set ${move('start_ms', 'end_ms')};`);
  sqlite.close();
}

/** A snapshot of the fake driver in format 1, without a checksum of itself. */
async function putSnapshot(state: object, more: object, ...directory: string[]): Promise<string> {
  const text = await put(JSON.stringify(state), ...directory, 'state.json');
  const files = [{ name: 'state.json', bytes: Buffer.byteLength(text), sha256: sha256(text) }];
  const manifest = { format: 1, ...more, engine: { driver: 'fake' }, memoryMib: 512, vcpus: 1, files };
  return sha256(await put(manifest, ...directory, 'manifest.json'));
}

test('what slept wakes with its state and the tokens of before, and everything can be used further', async () => {
  await putDatabase();
  const identity = { machineId: 'a'.repeat(32), bootId: crypto.randomUUID(), hostname: 'old' };
  const state = { count: 41, hooks: [], hookCalls: {}, failedSuspends: 0, environment: {}, started: true, identity };
  const base = await putSnapshot(state, { kind: 'image' }, 'images', buildId);
  await put({ format: 1, buildId, imageArn, imageVersion: '1.0', hooks: {} }, 'images', buildId, 'image.json');
  const vm = 'microvm-suspended';
  await put({ format: 1, microvmId: vm, buildId, identity }, 'vms', vm, 'microvm.json');
  await putSnapshot(state, { kind: 'microvm', base }, 'vms', vm, 'sleep-2');
  await put('disk layer\n', 'vms', vm, 'disk', 'layer-1.fake');
  const current = { kid: 'first', secret: randomBytes(32).toString('base64url'), createdAtMs: Date.now() };
  await put({ format: 1, current }, 'keys', 'tokens.json');

  const it = await startTestServer({ driver: 'fake', dataDirectory: data, account, buildIsolation: 'vm' });
  try {
    expect(it.server.credentials).toMatchObject({
      accessKeyId: 'AKIAFIXTUREAAAAAAAAA',
      secretAccessKey: 'secret-of-the-fixture',
    });
    const { state: found, endpoint = '' } = await it.lambda.getMicrovm({ microvmIdentifier: vm });
    expect(found).toBe('SUSPENDED');
    expect((await scrubbed(data)).damage).toEqual([]);
    expect((await it.get(endpoint, await it.token(vm))).body.trim()).toBe('42');
    await it.lambda.suspendMicrovm({ microvmIdentifier: vm });
    await it.until(vm, 'SUSPENDED');
    const launched = await it.run(imageArn);
    expect((await it.get(launched.endpoint, launched.token)).body.trim()).toBe('42');
    const ended = await it.lambda.getMicrovm({ microvmIdentifier: 'microvm-terminated' });
    expect([ended.state, ended.stateReason]).toEqual(['TERMINATED', 'Success.']);
    // It ran, and there is nothing of it: it does not stay RUNNING, and says why.
    const lost = await it.until('microvm-running', 'TERMINATED');
    expect(lost.stateReason).toBeTruthy();
    const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
    expect((await it.build('another', zip)).state).toBe('SUCCESSFUL');
    expect((await scrubbed(data)).damage).toEqual([]);
    expect(checkDatabaseFile(join(data, 'waterbear.db')).problems).toEqual([]);
  } finally {
    await it.close();
  }
});
