// Builds inside throw-away VMs: what comes out, what fails and why, and that nothing gets from one account to another or to the host.
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { ask, projectFiles, type RealNode, startRealNode } from '../support/real-node.ts';
import { besideHost, build, failure, project } from '../support/vm-builds.ts';

// Emulated, and on a busy machine, a build may take minutes.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 300_000 });
const mark = `RUN echo ${crypto.randomUUID()} > /mark\n`;
const cacheOf = (account: string): string => join(it.directory, 'build-cache', `${account}.disk`);
const here = '000000000000';
const other = '999999999999';
let it: RealNode;

beforeAll(async () => {
  it = await startRealNode({ buildIsolation: 'vm' });
});
afterAll(() => it?.close());
afterEach(() => {
  const left = readdirSync(join(it.directory, 'images')).filter((name) => /\.(new|work)$/.test(name));
  expect(left, 'left of builds').toEqual([]);
});

test('a Dockerfile project becomes an image whose MicroVMs answer', async () => {
  const files = (await projectFiles('state')).filter(({ name }) => name !== 'Dockerfile');
  const { buildId, log } = await build(it, project(`${mark}COPY app.py /\nCMD ["python3", "/app.py"]`, ...files));
  expect(log).toMatch(/--- the zip holds \d+ entries/);
  expect(log).toContain('COMMIT');
  expect(log).not.toContain('Using cache');
  const microvmId = `microvm-${crypto.randomUUID()}`;
  await it.node.launch({ microvmId, buildId });
  expect(await ask(it.node, microvmId)).toBeDefined();
  await it.node.terminate(microvmId);
});

test('killing all that it can reach ends only the build; layers come from the cache of the same account', async () => {
  const { why, log } = await failure(it, project(`${mark}RUN kill -9 -1; kill -9 1; sleep 600\nCMD x`));
  expect(why).toMatch(/^CONTAINER_BUILD_FAILED: The container build was ended by SIGKILL/);
  expect(log).toContain('Using cache');
});

test('a build sees its own files, and nothing of another account, of the host or of the machine it runs in', async () => {
  const looks = `COPY . /here
RUN ls -a /here; cat /here/up/etc/hostname; ls /dev; mknod /tmp/disk b 254 0 || echo no node; ls /cache /images; id -u; \\
  cat /etc/resolv.conf; ls /proc/1/root/run/disks || echo no way out; echo c > /proc/sysrq-trigger || echo no crash
RUN --mount=type=bind,source=/,target=/m ls -a /m /m/..; false
CMD x`;
  const zip = project(mark + looks, { name: 'up', data: '.', mode: 0o120777 });
  const { log } = await failure(it, zip, { account: other });
  expect(log).not.toContain('Using cache');
  for (const answer of ['no node', 'nameserver 10.111.0.1', 'no way out', 'no crash']) expect(log).toContain(answer);
  expect(log).not.toMatch(/^(vd[a-z]|sda|kvm|kmsg|mem|fuse|loop.*|net)$/m);
  expect(log).not.toMatch(/^(work|overlay|overlay-images)$/m);
});

test('caches are files of the server alone that take what they hold', () => {
  for (const account of [here, other]) {
    const facts = statSync(cacheOf(account));
    expect([facts.uid, facts.mode & 0o777]).toEqual([0, 0o600]);
    expect(facts.blocks * 512).toBeLessThan(facts.size / 4);
  }
});

test('a cache that is garbage is made anew; a failure says why, in the same words as on the host', async () => {
  writeFileSync(cacheOf(here), Buffer.alloc(4 << 20, 'garbage'), { flag: 'r+' });
  // Python alone is larger than that.
  const big = project('RUN echo fine && echo and there >&2\nCMD x');
  const changes = { diskMib: 100 };
  const tooBig = await failure(it, big, changes);
  expect(tooBig.log).toContain('fine');
  expect(tooBig.why).toMatch(/^DISK_STORAGE_FULL/);
  const { inVm, onHost } = await besideHost([{ zip: big, changes, why: tooBig.why }]);
  expect(inVm).toEqual(onHost);
});
