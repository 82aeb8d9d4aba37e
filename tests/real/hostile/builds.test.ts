// Builds of a stranger: zips and Dockerfiles that want out of their build, to the host's files, devices, processes, network and disk.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pause } from '../../../src/lib/deadline.ts';
import { run } from '../../../src/lib/process.ts';
import { bytesOnDisk, strangeFiles, strayFiles } from '../../support/hostile/aftermath.ts';
import { type BuildHost, type Built, hostileFiles, startBuildHost } from '../../support/hostile/build-host.ts';
import { toolkitDirectory } from '../../support/real-node.ts';
import type { ZipEntry } from '../../support/zip.ts';

/** Where the product runs builds in this test. In a VM of its own, a build may be root of that VM; on the host it may not. */
const isolation: 'host' | 'vm' = 'host';

const base = 'FROM localhost/waterbear/python:3\n';
const endless = 'CMD ["sleep", "1000"]\n';
const dockerfile = (text: string, from = base): ZipEntry => ({ name: 'Dockerfile', data: from + text });
const link = (name: string, target: string): ZipEntry => ({ name, data: target, mode: 0o120777 });
const denied = /^E[A-Z]+$/;
const mib = 2 ** 20;

let host: BuildHost;
let mountsBefore: string;
let strayBefore: string[];
/** Without network namespaces, which come and go with slots. */
const mounts = async (): Promise<string> =>
  (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .filter((line) => !line.startsWith('nsfs '))
    .join('\n');

beforeAll(async () => {
  host = await startBuildHost({});
  process.env.WBPROBE_SECRET = host.secret;
  mountsBefore = await mounts();
  strayBefore = await strayFiles();
});
afterAll(async () => {
  delete process.env.WBPROBE_SECRET;
  await host?.[Symbol.asyncDispose]();
});

/** A VM for each build takes its time: there, the most telling ones stand for the others. */
const some = <T>(attempts: T[], inVm: number): T[] => (isolation === 'host' ? attempts : attempts.slice(0, inVm));

/** A failed build that gave nothing of the host away. */
async function expectRefused(entries: readonly ZipEntry[], reason: RegExp): Promise<Built> {
  host.canary.came.length = 0;
  host.outside.forget();
  const built = await host.build(entries);
  expect(built.failure?.code).toBe('build_failed');
  expect(built.failure?.message).toMatch(reason);
  for (const text of [built.log, built.failure?.message]) expect(text).not.toContain(host.secret);
  expect(host.canary.came).toEqual([]);
  expect(host.outside.visits).toEqual([]);
  return built;
}

describe('zips', () => {
  const zips: [string, ZipEntry[]][] = [
    ['`..` in a name', [{ name: 'a/../../../etc/x', data: 'x' }]],
    ['an absolute name', [{ name: '/etc/x', data: 'x' }]],
    ['a backslash in a name', [{ name: '..\\..\\x', data: 'x' }]],
    ['an absolute symlink', [link('out', '/etc/shadow')]],
    ['a symlink that climbs out', [link('d/out', '../../../../etc/shadow')]],
    ['a symlink that climbs out by way of a name', [link('out', 'd/../../../etc/shadow')]],
    ['a file through a symlink', [link('d', '.'), { name: 'd/x', data: 'x' }]],
    ['an absolute .dockerignore', [link('.dockerignore', '/etc/passwd')]],
    ['a device', [{ name: 'disk', mode: 0o060660 }]],
    ['an entry that lies about its size', [{ name: 'x', data: Buffer.alloc(1000), declaredBytes: 5 }]],
  ];
  test.each(some(zips, 3))('with %s', async (_, entries) => {
    await expectRefused([dockerfile(endless), ...entries], /ARCHIVE_INVALID/);
  });

  test('whose Dockerfile is a link to a file of the host', async () => {
    await expectRefused([link('Dockerfile', 'd/../../../../etc/passwd')], /ARCHIVE_/);
    await expectRefused([link('Dockerfile', 'other'), { name: 'other', data: base + endless }], /ARCHIVE_DOCKERFILE/);
  });
});

describe('instructions that copy', () => {
  const shows = 'RUN cat /stolen/* /stolen; false\n';
  const attempts: [string, (file: string) => string][] = [
    ['COPY of a path above the context', (file) => `COPY ../../../../../../../..${file} /stolen/`],
    ['COPY of an absolute path', (file) => `COPY ${file} /stolen/`],
    [
      'a bind mount of the context that climbs out',
      (file) => `RUN --mount=type=bind,source=../../../../../..${file},target=/stolen cat /stolen`,
    ],
    [
      'a bind mount of an absolute path',
      (file) => `RUN --mount=type=bind,source=${file},target=/stolen,rw cat /stolen`,
    ],
    [
      'a secret that nobody gave',
      (file) => `RUN --mount=type=secret,id=x,src=${file},required=true cat /run/secrets/x`,
    ],
    [
      "a cache that is somebody's directory",
      () => 'RUN --mount=type=cache,target=/stolen,id=../../../../../../var/tmp cat /stolen/*',
    ],
  ];
  test.each(some(attempts, 2))('%s', async (_, line) => {
    const [file = ''] = host.files;
    await expectRefused([dockerfile(`${line(file)}\n${shows}${endless}`)], /CONTAINER_BUILD_FAILED/);
  });

  test('a trigger for the next build, and links that the steps before made', async () => {
    const [file = ''] = host.files;
    const made = `RUN mkdir /d && ln -s ${file} /d/file && ln -s / /d/root && ln -s /proc/1/root /d/first\n`;
    const copied = `FROM localhost/waterbear/python:3\nCOPY --from=0 /d /stolen\nRUN cat /stolen/file /stolen/root${file} /stolen/first${file}; false\n`;
    await expectRefused(
      [dockerfile(`ONBUILD COPY ${file} /stolen\n${made}${copied}${endless}`)],
      /CONTAINER_BUILD_FAILED/,
    );
  });
});

describe('instructions that fetch', () => {
  const urls: [string, (port: number) => string][] = [
    ["ADD of a URL on the host's loopback", (port) => `${base}ADD http://127.0.0.1:${port}/x /x\n`],
    ["FROM a registry on the host's loopback", (port) => `FROM 127.0.0.1:${port}/evil:1\n`],
    [
      'COPY --from a registry on the metadata address',
      (port) => `${base}COPY --from=169.254.169.254:${port}/evil:1 /x /x\n`,
    ],
    ['FROM a registry on a private address', (port) => `FROM 10.213.7.7:${port}/evil:1\n`],
    ["ADD of a URL by the host's name", (port) => `${base}ADD http://localhost:${port}/x /x\n`],
    ['ADD of the metadata service', (port) => `${base}ADD http://169.254.169.254:${port}/latest/meta-data/ /x\n`],
  ];
  test.each(some(urls, 3))('%s', async (_, text) => {
    await expectRefused([dockerfile(endless, text(host.canary.port))], /CONTAINER_BUILD_FAILED/);
  });
});

describe('a RUN step as root', () => {
  let built: Built;
  let lanBefore: string[];
  const told = <T>(name: string): T => {
    const line = built.log.split('\n').find((one) => one.includes(`PROBE ${name} `));
    if (!line) throw new Error(`The step said nothing of ${name}: ${built.log.slice(-2000)}`);
    return JSON.parse(line.slice(line.indexOf(`PROBE ${name} `) + name.length + 7)) as T;
  };
  beforeAll(async () => {
    host.canary.came.length = 0;
    host.outside.forget();
    const links = [link('links/up', '../Dockerfile'), { name: 'links/plain', data: 'plain' }];
    const entries = [...(await hostileFiles()), { name: 'order.json', data: host.order }, ...links];
    const steps = 'COPY *.py order.json /probe/\nCOPY links /links/\nRUN cd /probe && python3 steps.py\nRUN false\n';
    built = await host.build([dockerfile(steps + endless), ...entries]);
    lanBefore = [...host.outside.visits];
  });

  test('runs to its end, so that the others mean something', () => {
    expect(told('end')).toBe(1);
    expect(built.failure?.message).toMatch(/CONTAINER_BUILD_FAILED/);
  });
  test("finds no file of the host's", () => {
    expect(told('files')).toEqual([]);
    expect(told('links')).toEqual([]);
    expect(told('escape')).toEqual([]);
  });
  test("sees nobody's environment but its own", () => expect(told('environments')).toEqual([]));
  test('reaches neither the host nor private networks', () => {
    expect(told<{ connected: string[] }>('scan').connected).toEqual([]);
    expect(told<string[]>('datagrams').filter((said) => /^([0-9a-f]{2})+$/.test(said))).toEqual([]);
    expect(host.canary.came).toEqual([]);
    expect(lanBefore).toEqual([]);
  });
  test('opens no device', () => {
    if (isolation === 'host') for (const how of told<string[]>('nodes')) expect(how).toMatch(denied);
    expect(told<string[]>('nodes').length).toBeGreaterThan(10);
  });
  test('mounts nothing, or only what nobody else sees', async () => {
    if (isolation === 'host') for (const how of told<string[]>('mounts')) expect(how).toMatch(denied);
    expect(await mounts()).toBe(mountsBefore);
  });
  test("changes nothing of the host's kernel", async () => {
    if (isolation === 'host') for (const how of told<string[]>('kernel')) expect(how).toMatch(denied);
    for (const name of ['core_pattern', 'hostname', 'panic'])
      expect(await readFile(`/proc/sys/kernel/${name}`, 'utf8')).not.toMatch(new RegExp(`${host.secret}|evil`));
  });
  test('kills nobody outside', () => {
    expect(told('kills')).not.toBe('seen');
    expect(host.sentinel.exitCode).toBeNull();
    expect(host.sentinel.signalCode).toBeNull();
  });
  test('leaves no set-user-id program for other users of the host', async () => {
    expect(told('marks')).toBeDefined();
    const places = [toolkitDirectory, host.real.directory, '/tmp', '/var/tmp'];
    const find = [
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      'find',
      ...places,
      '-name',
      'marked-setuid',
    ];
    // What `find` may not enter is no failure here.
    const { stdout } = await run('sh', ['-c', 'setpriv "$@" 2>/dev/null || :', 'sh', ...find]);
    expect(stdout).toBe('');
  });
  test('writes no control characters into what people are told', () => {
    const codes = [...(built.failure?.message ?? '')].map((one) => one.charCodeAt(0));
    expect(codes.filter((code) => (code < 32 && code !== 9 && code !== 10) || code === 127)).toEqual([]);
  });
});

describe('builds that take too much', () => {
  test('of the disk', async () => {
    const before = await bytesOnDisk(host.real.directory);
    const { failure } = await host.build([dockerfile(`RUN head -c 3G /dev/zero > /big\n${endless}`)]);
    expect(failure).toMatchObject({ facts: { reason: 'DISK_STORAGE_FULL' } });
    expect((await bytesOnDisk(host.real.directory)) - before).toBeLessThan(100 * mib);
  });

  test('of the disk, in many files that are each small enough', async () => {
    const many = 'RUN for i in 1 2 3 4 5 6 7 8; do head -c 200M /dev/zero > /big$i || exit 1; done\n';
    const { failure } = await host.build([dockerfile(many + endless)]);
    expect(failure).toMatchObject({ facts: { reason: 'DISK_STORAGE_FULL' } });
  });

  test('of the log', async () => {
    const before = process.memoryUsage().rss;
    const { failure, buildId } = await host.build([
      dockerfile(`RUN yes "$(head -c 200 /dev/zero | tr '\\0' x)" | head -c 200M; false\n${endless}`),
    ]);
    expect(failure?.code).toBe('build_failed');
    expect((await host.real.node.buildLog(buildId)).length).toBeLessThan(6 * mib);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * mib);
  });

  test('of the time: it is ended, with everything it started', async () => {
    const name = `endless-${host.secret}`;
    const stubborn = `sh -c 'trap "" TERM HUP; while :; do sleep 1; done; : ${name}'`;
    const stop = new AbortController();
    const line = `RUN setsid ${stubborn} & ${stubborn} & ${stubborn}\n${endless}`;
    const building = host.build([dockerfile(line)], {}, stop.signal);
    const running = async (): Promise<string> => (await run('ps', ['-eo', 'args'])).stdout;
    // In a VM nobody outside sees it.
    if (isolation === 'host') await expect.poll(running, { timeout: 60_000 }).toContain(stubborn.slice(-20, -1));
    else await pause(30_000);
    stop.abort();
    expect((await building).failure?.code).toMatch(/aborted|build_failed/);
    await expect.poll(running, { timeout: 20_000 }).not.toContain(name);
  });

  // On the host it would be the host's processes that it takes.
  test.runIf((isolation as string) === 'vm')('of the processes', async () => {
    const { failure } = await host.build([dockerfile(`RUN bash -c ':(){ :|:& };:; wait'; sleep 5; false\n${endless}`)]);
    expect(failure?.code).toBe('build_failed');
  });
});

describe('images that are hostile when they start', () => {
  test.each<[string, string]>([
    ['a user that is a path', 'USER ../../etc/passwd\n'],
    ['a user beyond all numbers', 'USER 99999999999999999999\n'],
    ['a command that is a directory', 'ENTRYPOINT ["/etc"]\n'],
    ['a command of a thousand lines', `ENTRYPOINT ["${'\\n'.repeat(1000)}"]\n`],
  ])('%s: a clear reason', async (_, line) => {
    const { failure } = await host.build([dockerfile(line + endless)]);
    expect(failure).toMatchObject({ code: 'build_failed', facts: { what: expect.stringMatching(/\w+/) } });
    expect(failure?.message.length).toBeLessThan(20_000);
  });

  test('a root whose /dev, /proc, /etc and /run are links and files', async () => {
    const steps = [
      'mkdir /x && cp /bin/sleep /x/sleep && rm -rf /srv /mnt /media /opt',
      'rm -f /etc/hosts /etc/hostname /etc/resolv.conf /etc/machine-id 2>/dev/null; ln -sf /proc/self/mem /etc/machine-id || :',
      'ln -s ../../../../../../../dev/vda /etc/localtime.x; mkdir -p /x/y; ln -s ../../../.. /x/y/z',
    ];
    const text = `${steps.map((step) => `RUN ${step}`).join('\n')}\nENV BIG=${'b'.repeat(30_000)}\nWORKDIR /x/../../../../y\n`;
    const { failure } = await host.build([dockerfile(text + endless)], { hooks: { port: 9000, readySeconds: 5 } });
    // It starts, and never gets ready; or it is refused. Either way somebody can read why.
    expect(failure).toMatchObject({ code: 'build_failed', facts: { what: expect.stringMatching(/\w+/) } });
    expect(failure?.message).not.toContain('INTERNAL_PLATFORM_ERROR');
  });
});

describe('after all builds', () => {
  test('the host is what it was, and an honest build still succeeds', async () => {
    expect(await mounts()).toBe(mountsBefore);
    expect((await strayFiles()).filter((path) => !strayBefore.includes(path))).toEqual([]);
    expect(await strangeFiles(host.real.directory, [/^images\/wbprobe-\d+$/, /^cache/])).toEqual([]);
    for (const file of host.files) expect(await readFile(file, 'utf8')).toBe(`${host.secret}\n`);
    expect(await host.outside.escaped()).toBe(0);
    const files = await hostileFiles();
    const { failure, buildId } = await host.build([
      dockerfile('COPY *.py /probe/\nWORKDIR /probe\nCMD ["python3", "app.py"]\n'),
      ...files,
    ]);
    expect(failure).toBeUndefined();
    await host.real.node.launch({ microvmId: 'microvm-honest', buildId });
    await host.real.node.terminate('microvm-honest');
  });
});
