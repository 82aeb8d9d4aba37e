// Builds inside throw-away VMs: what comes out, what fails and why, and that nothing gets from one account to another or to the host.
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { BuildOrder } from '../../src/contract/node-api.ts';
import { isFault } from '../../src/lib/errors.ts';
import { ask, buildOrder, projectZip, type RealNode, startRealNode } from '../support/real-node.ts';
import { vmmsOf } from '../support/vmms.ts';
import { type ZipEntry, zipOf } from '../support/zip.ts';

const python = 'FROM localhost/waterbear/python:3';
// Emulated, and on a busy machine, a build may take minutes.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 300_000 });
let it: RealNode;

beforeAll(async () => {
  it = await startRealNode({ buildIsolation: 'vm' });
});
afterAll(() => it?.close());
afterEach(() => {
  const left = readdirSync(join(it.directory, 'images')).filter((name) => /\.(new|work)$/.test(name));
  expect(left, 'left of builds').toEqual([]);
});

async function build(zip: Buffer, changes: Partial<BuildOrder> = {}): Promise<{ buildId: string; log: string }> {
  const archive = join(it.directory, `${crypto.randomUUID()}.zip`);
  writeFileSync(archive, zip);
  let log = '';
  const order = buildOrder(archive, changes);
  try {
    await it.node.build(order, (text) => {
      log += text;
    });
    return { buildId: order.buildId, log };
  } catch (error) {
    if (isFault(error, 'build_failed')) throw new Error(`${error.facts.reason}: ${error.facts.what}`, { cause: log });
    throw error;
  } finally {
    await rm(archive);
  }
}

const project = (dockerfile: string, ...more: ZipEntry[]): Buffer =>
  zipOf([{ name: 'Dockerfile', data: dockerfile }, ...more]);

/** Why it fails, and what the log held. */
async function failure(zip: Buffer, changes: Partial<BuildOrder> = {}): Promise<{ why: string; log: string }> {
  const error: unknown = await build(zip, changes).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error)) throw new Error('It was built.');
  return { why: error.message, log: String(error.cause) };
}

test('a Dockerfile project becomes an image whose MicroVMs answer', async () => {
  const { buildId, log } = await build(await projectZip('state'));
  expect(log).toMatch(/--- the zip holds \d+ entries/);
  expect(log).toContain('COMMIT');
  const microvmId = `microvm-${crypto.randomUUID()}`;
  await it.node.launch({ microvmId, buildId });
  expect(await ask(it.node, microvmId)).toBeDefined();
  await it.node.terminate(microvmId);
});

test('layers come from the cache of the same account and of no other', async () => {
  const other = '999999999999';
  const text = `${python}\nRUN echo ${crypto.randomUUID()} > /mark\n`;
  const ends = project(`${text}RUN false\nCMD x`);
  expect((await failure(ends)).log).not.toContain('Using cache');
  expect((await failure(ends)).log).toContain('Using cache');
  expect((await failure(ends, { account: other })).log).not.toContain('Using cache');
  const caches = join(it.directory, 'build-cache');
  expect(readdirSync(caches).sort()).toEqual(['000000000000.disk', `${other}.disk`]);
  for (const name of readdirSync(caches)) {
    const facts = statSync(join(caches, name));
    expect([facts.uid, facts.mode & 0o777]).toEqual([0, 0o600]);
    expect(facts.blocks * 512).toBeLessThan(facts.size / 4);
  }
});

test('a cache that is garbage is made anew', async () => {
  const file = join(it.directory, 'build-cache', '000000000000.disk');
  writeFileSync(file, Buffer.alloc(4 << 20, 'garbage'), { flag: 'r+' });
  expect((await failure(project(`${python}\nRUN echo fine && false\nCMD x`))).log).toContain('fine');
});

test('failures say why, in the same words as on the host', async () => {
  const host = await startRealNode({ buildIsolation: 'host' });
  const here = it;
  const zips = [
    project(`${python}\nRUN echo look here && echo and there >&2 && exit 3\nCMD x`),
    project('FROM localhost/nothing:1\nCMD x'),
    project(`${python}\nRUN <<EOF\ntrue\nEOF`),
    project(`${python}\nCOPY missing /x\nCMD x`),
    zipOf([{ name: 'app.py' }]),
    project(python, { name: '../../etc/cron.d/x' }),
  ];
  try {
    for (const zip of zips) {
      const inVm = await failure(zip);
      it = host;
      const onHost = await failure(zip);
      it = here;
      expect(comparable(inVm.why)).toBe(comparable(onHost.why));
    }
  } finally {
    it = here;
    await host.close();
  }
});

/** Without what differs between two places: paths, ids, how the two zip readers say the same, and which of two outputs came first. */
const comparable = (why: string): string =>
  why
    .replace(/\/\S*/g, '/…')
    .replace(/[0-9a-f]{12,}/g, '…')
    .replace(/^(ARCHIVE_INVALID).*/s, '$1')
    .split('\n')
    .sort()
    .join('\n');

test('a build sees its own files and nothing of the host or of the machine it runs in', async () => {
  const { log } = await failure(
    project(
      `${python}
COPY . /here
RUN ls -a /here; cat /here/up/etc/hostname; ls /dev; mknod /tmp/disk b 254 0 || echo no node; ls /cache /images; id -u
RUN cat /etc/resolv.conf; ls /proc/1/root/run/disks || echo no way out; echo c > /proc/sysrq-trigger || echo no crash
RUN --mount=type=bind,source=/,target=/m ls -a /m /m/..; false
CMD x`,
      { name: 'up', data: '.', mode: 0o120777 },
    ),
  );
  for (const answer of ['no node', 'nameserver 10.111.0.1', 'no way out', 'no crash']) expect(log).toContain(answer);
  expect(log).not.toMatch(/^(vd[a-z]|sda|kvm|kmsg|mem|fuse|loop.*|net)$/m);
  expect(log).not.toMatch(/^(work|overlay|overlay-images)$/m);
  const { why } = await failure(project(`${python}\nCOPY ../../etc/passwd ../Dockerfile /stolen/\nCMD x`));
  expect(why).toMatch(/^CONTAINER_BUILD_FAILED/);
});

test('what is too large ends as DISK_STORAGE_FULL', async () => {
  const big = `${python}\nRUN dd if=/dev/zero of=/big bs=1M count=200\nCMD x`;
  expect((await failure(project(big), { diskMib: 100 })).why).toMatch(/^DISK_STORAGE_FULL/);
  expect((await failure(project(`${python}\nCMD x`), { diskMib: 100 })).why).toMatch(/^DISK_STORAGE_FULL: .*100 MiB/);
});

test('killing all that it can reach ends only the build', async () => {
  expect((await failure(project(`${python}\nRUN kill -9 -1; kill -9 1; sleep 600\nCMD x`))).why).toMatch(
    /^CONTAINER_BUILD_FAILED: The container build was ended by SIGKILL/,
  );
});

test.each([
  ['an endless step', 'setsid sleep 100000 & sleep 100000'],
  ['a fork bomb', `bash -c 'f() { f | f & }; f; sleep 100000'`],
])('%s ends at the time limit, and the cache lives on', async (_, step) => {
  const patient = it;
  it = await startRealNode({ buildIsolation: 'vm', buildTimeoutMs: 15_000 });
  try {
    expect((await failure(project(`${python}\nRUN ${step}\nCMD x`))).why).toMatch(
      /^CONTAINER_BUILD_FAILED: .*within 15 s/,
    );
    expect(existsSync(join(it.directory, 'build-cache', '000000000000.disk'))).toBe(true);
  } finally {
    await it.close();
    it = patient;
  }
});

test('a cancelled build ends its VM at once', async () => {
  const archive = join(it.directory, 'slow.zip');
  writeFileSync(archive, project(`${python}\nRUN sleep 100000\nCMD x`));
  const cancel = new AbortController();
  const building = it.node.build(
    buildOrder(archive),
    (text) => {
      if (text.includes('RUN sleep')) cancel.abort();
    },
    cancel.signal,
  );
  await expect(building).rejects.toMatchObject({ code: 'aborted' });
  expect(vmmsOf(it.directory)).toEqual([]);
});
