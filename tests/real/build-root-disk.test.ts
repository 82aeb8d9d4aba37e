// Real builds with buildah in the cage. Needs root, and the local base images of the set-up script.
import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { localBaseImages, removeBuildImage, tidyStore } from '../../src/build/build-cache.ts';
import { buildRootDisk, type RootDisk, type RootDiskOrder } from '../../src/build/root-disk.ts';
import { type ContainerStore, openContainerStore, runBuildah } from '../../src/build/storage.ts';
import { isFault } from '../../src/lib/errors.ts';

const toolkit = resolve(import.meta.dirname, '../../.waterbear');
const python = 'FROM localhost/waterbear/python:3';
/** Smaller, for what needs no more. */
const debian = 'FROM localhost/waterbear/debian:12';
let home = '';
let work = '';
let store: ContainerStore;

beforeAll(async () => {
  // Beside the toolkit, on the same file system; a copy, so that the base images others use stay as they are.
  home = mkdtempSync(join(toolkit, 'test-build-'));
  cpSync(join(toolkit, 'containers', 'root'), join(home, 'store', 'root'), {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
  });
  store = await openContainerStore(join(home, 'store'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

beforeEach(() => {
  work = mkdtempSync(join(home, 'work-'));
  mkdirSync(join(work, 'context'));
  mkdirSync(join(work, 'disk'));
});
afterEach(async () => {
  const left = (await runBuildah(store, ['containers', '--quiet'])).stdout;
  expect(left, 'working containers left').toBe('');
  expect(readdirSync(join(home, 'store', 'cages')), 'cages left').toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8'), 'mounts left').not.toContain(home);
  rmSync(work, { recursive: true, force: true });
});

const put = (name: string, text: string): void => writeFileSync(join(work, 'context', name), text);

async function build(
  dockerfile: string,
  more: Partial<RootDiskOrder> = {},
  signal?: AbortSignal,
): Promise<RootDisk & { log: string }> {
  put('Dockerfile', dockerfile);
  let log = '';
  const order = { store, context: join(work, 'context'), workDirectory: join(work, 'disk'), diskMib: 512, ...more };
  const disk = await buildRootDisk(
    order,
    (text) => {
      log += text;
    },
    signal,
  );
  return { ...disk, log };
}

async function failure(dockerfile: string, more: Partial<RootDiskOrder> = {}): Promise<string> {
  try {
    await build(dockerfile, more);
  } catch (error) {
    expect(readdirSync(join(work, 'disk'))).toEqual([]);
    if (isFault(error, 'build_failed')) return `${error.facts.reason}: ${error.facts.what}`;
    throw error;
  }
  return 'built';
}

/** A file of the disk, read without mounting it. */
const cat = (disk: RootDisk, path: string): string => debugfs(disk, `cat ${path}`);
const debugfs = (disk: RootDisk, request: string): string =>
  execFileSync('debugfs', ['-R', request, disk.rootDisk], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

test('a multi-stage build becomes a clean, sparse disk and a plan', async () => {
  put('app.py', 'print("hi")\n');
  const disk = await build(`
ARG BASE=localhost/waterbear/debian:12
FROM \${BASE} AS first
RUN mkdir /made && echo built > /made/file && chown 1234:1234 /made/file
${python}
COPY --from=first /made /made
COPY app.py /srv/
WORKDIR /srv
ENV GREETING="hello world"
EXPOSE 8080 9000/udp 53/tcp
LABEL tier=test
STOPSIGNAL SIGINT
USER nobody:nogroup
ENTRYPOINT ["python3"]
CMD ["app.py", "-x"]
`);
  expect(disk.plan).toEqual({
    argv: ['python3', 'app.py', '-x'],
    environment: expect.objectContaining({ GREETING: 'hello world', PATH: expect.stringContaining('/usr/bin') }),
    workingDirectory: '/srv',
    user: 'nobody:nogroup',
    exposedPorts: [53, 8080],
    stopSignal: 'SIGINT',
    labels: expect.objectContaining({ tier: 'test' }),
  });
  expect(cat(disk, '/made/file')).toBe('built\n');
  expect(debugfs(disk, 'stat /made/file')).toMatch(/User:\s+1234\s+Group:\s+1234/);
  expect(cat(disk, '/srv/app.py')).toBe('print("hi")\n');
  expect(disk.log).toContain('COPY app.py /srv/');
  const facts = statSync(disk.rootDisk);
  expect(facts.size).toBe(512 * 2 ** 20);
  expect(facts.blocks * 512).toBeLessThan(disk.codeInstallBytes * 1.3);
  expect(disk.codeInstallBytes).toBeGreaterThan(50e6);
  execFileSync('e2fsck', ['-fn', disk.rootDisk], { stdio: 'pipe' });
});

test('the second build comes from the cache, and the image can be removed twice', async () => {
  const text = `${debian}\nRUN date +%N > /stamp\nCMD ["true"]`;
  const first = await build(text);
  const stamp = cat(first, '/stamp');
  const second = await build(text);
  expect(cat(second, '/stamp')).toBe(stamp);
  await removeBuildImage(store, second.imageId);
  await removeBuildImage(store, second.imageId);
  expect(cat(await build(text), '/stamp')).not.toBe(stamp);
});

test.each([
  ['ENTRYPOINT sleep 1', ['/bin/sh', '-c', 'sleep 1']],
  ['CMD echo $HOME', ['/bin/sh', '-c', 'echo $HOME']],
  ['ENTRYPOINT ["a"]\nCMD b c', ['a', '/bin/sh', '-c', 'b c']],
  ['CMD ["old"]\nCMD ["new"]', ['new']],
])('%j starts %j', async (text, argv) => {
  expect((await build(`FROM scratch\nCOPY Dockerfile /\n${text}`)).plan.argv).toEqual(argv);
});

test('what fails says why, with its last output', async () => {
  expect(await failure(`${python}\nRUN echo look here && echo and there >&2 && exit 3\nCMD x`)).toMatch(
    /^CONTAINER_BUILD_FAILED: [\s\S]*look here[\s\S]*exit status 3/,
  );
  expect(await failure(`${python}`)).toMatch(/^CONTAINER_BUILD_FAILED: .*neither CMD nor ENTRYPOINT/);
  expect(await failure(`${python}\nFRUM x`)).toMatch(/^CONTAINER_BUILD_FAILED: [\s\S]*FRUM/i);
  expect(await failure(`${python}\nCOPY missing /x\nCMD x`)).toMatch(/^CONTAINER_BUILD_FAILED: [\s\S]*missing/);
  expect(await failure(`${python}\nRUN <<EOF\ntrue\nEOF`)).toContain('line 2: the heredoc <<EOF');
  expect(await failure('FROM localhost/nothing:1\nCMD x')).toMatch(
    /line 1: the image localhost\/nothing:1 cannot be used.*localhost\/waterbear\/debian:12, localhost\/waterbear\/python:3/,
  );
  expect(await failure('FROM 127.0.0.1:9/nothing:1\nCMD x')).toMatch(
    /line 1: .*could not be pulled: .*localhost\/waterbear\/python:3/,
  );
  expect(await failure(`${debian}\nCMD x`, { diskMib: 32 })).toMatch(/^DISK_STORAGE_FULL: .*32 MiB/);
  expect(await failure(`${python}\nRUN dd if=/dev/zero of=/big bs=1M count=200\nCMD x`, { diskMib: 128 })).toMatch(
    /^DISK_STORAGE_FULL/,
  );
  expect(await failure(`${python}\nRUN sleep 60\nCMD x`, { minimumFreeBytes: 2 ** 60 })).toMatch(
    /^DISK_STORAGE_FULL: .*of the host/,
  );
});

test('a deadline and a cancelled build end everything that runs', async () => {
  const marker = `${900 + (process.pid % 90)}.25`;
  const slow = `${python}\nRUN setsid sleep ${marker} & sleep ${marker}\nCMD x`;
  expect(await failure(slow, { timeoutMs: 3000 })).toMatch(/^CONTAINER_BUILD_FAILED: .*within 3 s/);
  await expect(build(slow, {}, AbortSignal.timeout(3000))).rejects.toMatchObject({ code: 'aborted' });
  expect(running(`sleep ${marker}`)).toEqual([]);
});

test('a server that is killed takes its build with it', async () => {
  const marker = `${800 + (process.pid % 90)}.25`;
  put('Dockerfile', `${python}\nRUN setsid sleep ${marker} & sleep ${marker}\nCMD x`);
  const rooms = resolve(import.meta.dirname, '../../src/build');
  const program = `
    const { buildRootDisk } = await import('${rooms}/root-disk.ts');
    const { openContainerStore } = await import('${rooms}/storage.ts');
    const store = await openContainerStore(${JSON.stringify(store.directory)});
    const order = { store, context: ${JSON.stringify(join(work, 'context'))}, workDirectory: ${JSON.stringify(join(work, 'disk'))}, diskMib: 512 };
    await buildRootDisk(order, () => {});`;
  const server = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
  try {
    await expect.poll(() => running(`sleep ${marker}`).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
  } finally {
    server.kill('SIGKILL');
  }
  await expect.poll(() => running(`sleep ${marker}`), { timeout: 5000 }).toEqual([]);
  await expect
    .poll(() => tidyStore(store).then(() => runBuildah(store, ['containers', '--quiet'])), { timeout: 10_000 })
    .toMatchObject({ stdout: '' });
  const cages = join(home, 'store', 'cages');
  expect(readdirSync(cages)).toHaveLength(1);
  for (const name of readdirSync(cages)) utimesSync(join(cages, name), 1, 1);
  await tidyStore(store);
});

/** Command lines that start with `text`. */
function running(text: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids
    .map((pid) => readMaybe(`/proc/${pid}/cmdline`).split('\0').join(' '))
    .filter((line) => line.startsWith(text));
}

const readMaybe = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

test('nothing of the host gets into the image', async () => {
  writeFileSync(join(work, 'secret'), "the host's secret");
  symlinkSync('/etc/shadow', join(work, 'context', 'shadow'));
  symlinkSync(join(work, 'secret'), join(work, 'context', 'absolute'));
  symlinkSync('../secret', join(work, 'context', 'relative'));
  symlinkSync('/', join(work, 'context', 'root'));
  for (const source of [
    '../../etc/passwd',
    '../secret',
    'shadow',
    'absolute',
    'relative',
    `root${work}/secret`,
    'root/etc/shadow',
  ]) {
    const outcome = await failure(`${python}\nCOPY ${source} /stolen\nCMD x`);
    expect(outcome, source).toMatch(/^CONTAINER_BUILD_FAILED/);
  }
  // Reaches only the build's own processes; this test is still here to see it.
  expect(await failure(`${python}\nRUN kill -9 -1\nCMD x`)).toMatch(/^CONTAINER_BUILD_FAILED/);
  const { log } = await build(`${python}
RUN --mount=type=bind,source=/,target=/m cat /m/secret /m/root${work}/secret /m/../secret /proc/1/root/etc/shadow; true
RUN ls /dev; ls /proc | grep -c '^[0-9]'; cat /sys/class/net/*/address; mknod /tmp/disk b 8 0 || echo no node
CMD x`);
  expect(log).not.toContain("the host's secret");
  expect(log).toContain('no node');
  expect(log).not.toMatch(/^(vda|sda|kvm|kmsg|mem|net)$/m);
  expect(log.match(/([0-9a-f]{2}:){5}[0-9a-f]{2}/g)).toEqual(['00:00:00:00:00:00']);
});

test('RUN has the network of the namespace it is given, else none', async () => {
  const look = `${debian}\nRUN ls /sys/class/net > /interfaces\nCMD x`;
  expect(cat(await build(look), '/interfaces')).toBe('lo\n');
  const namespace = `wb-test-${process.pid}`;
  execFileSync('ip', ['netns', 'add', namespace]);
  try {
    execFileSync('ip', ['-n', namespace, 'tuntap', 'add', 'marked0', 'mode', 'tap']);
    const disk = await build(`${look}\n# not from the cache\nRUN ls /sys/class/net > /interfaces2`, {
      isolationNamespace: namespace,
    });
    expect(cat(disk, '/interfaces2')).toContain('marked0');
  } finally {
    execFileSync('ip', ['netns', 'delete', namespace]);
  }
});

test('builds at the same time do not disturb each other', async () => {
  const outcomes = [0, 1, 2].map(async (index) => {
    const [context, workDirectory] = [join(work, `context${index}`), join(work, `disk${index}`)];
    for (const name of [context, workDirectory]) mkdirSync(name);
    writeFileSync(join(context, 'Dockerfile'), `${debian}\nRUN sleep 0.${index} && echo ${index} > /which\nCMD x`);
    const disk = await buildRootDisk({ store, context, workDirectory, diskMib: 512 }, () => {});
    return cat(disk, '/which');
  });
  expect(await Promise.all(outcomes)).toEqual(['0\n', '1\n', '2\n']);
});

test('the cache is dropped past its bound, the base images are not', async () => {
  const { imageId } = await build(`${python}\nRUN echo x > /x\nCMD x`);
  expect(await tidyStore(store)).toBe(false);
  expect(await tidyStore(store, 1000)).toBe(true);
  await expect(runBuildah(store, ['inspect', '--type', 'image', imageId])).rejects.toMatchObject({
    code: 'process_failed',
  });
  expect(await localBaseImages(store)).toEqual(['localhost/waterbear/debian:12', 'localhost/waterbear/python:3']);
});
