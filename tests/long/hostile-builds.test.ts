// Every way out of a build that we know of, each in a VM of its own. tests/long/hostile-dockerfiles.test.ts tries the most telling ones.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesOnDisk } from '../support/hostile/aftermath.ts';
import type { BuildHost } from '../support/hostile/build-host.ts';
import {
  base,
  dockerfile,
  endless,
  expectRefused,
  link,
  startWatchedBuildHost,
  type WatchedBuildHost,
} from '../support/hostile/build-probes.ts';
import type { ZipEntry } from '../support/zip.ts';

const mib = 2 ** 20;
let watched: WatchedBuildHost;
let host: BuildHost;

beforeAll(async () => {
  watched = await startWatchedBuildHost({ buildIsolation: 'vm' });
  host = watched.host;
});
afterAll(() => watched?.[Symbol.asyncDispose]());

test.each<[string, ZipEntry[]]>([
  ['`..` in a name', [{ name: 'a/../../../etc/x', data: 'x' }]],
  ['an absolute name', [{ name: '/etc/x', data: 'x' }]],
  ['a backslash in a name', [{ name: '..\\..\\x', data: 'x' }]],
  ['an absolute symlink', [link('out', '/etc/shadow')]],
  ['a symlink that climbs out by way of a name', [link('out', 'd/../../../etc/shadow')]],
  ['an absolute .dockerignore', [link('.dockerignore', '/etc/passwd')]],
  ['a device', [{ name: 'disk', mode: 0o060660 }]],
  ['an entry that lies about its size', [{ name: 'x', data: Buffer.alloc(1000), declaredBytes: 5 }]],
])('a zip with %s', async (_, entries) => {
  await expectRefused(host, [dockerfile(endless), ...entries], /ARCHIVE_INVALID/);
});

describe('instructions that copy', () => {
  test.each<[string, (file: string) => string]>([
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
  ])('%s', async (_, line) => {
    const [file = ''] = host.files;
    const text = `${line(file)}\nRUN cat /stolen/* /stolen; false\n${endless}`;
    await expectRefused(host, [dockerfile(text)], /CONTAINER_BUILD_FAILED/);
  });

  test('a trigger for the stage after', async () => {
    const [file = ''] = host.files;
    const text = `ONBUILD COPY ${file} /stolen\nFROM first\nRUN cat /stolen/* /stolen; false\n${endless}`;
    const from = 'FROM localhost/waterbear/python:3 AS first\n';
    await expectRefused(host, [dockerfile(text, from)], /CONTAINER_BUILD_FAILED.*STEP/s);
  });
});

describe('instructions that fetch', () => {
  test.each<[string, (port: number) => string]>([
    ["ADD of a URL on the host's loopback", (port) => `${base}ADD http://127.0.0.1:${port}/x /x\n`],
    ["ADD of a URL by the host's name", (port) => `${base}ADD http://localhost:${port}/x /x\n`],
    ['ADD of the metadata service', (port) => `${base}ADD http://169.254.169.254:${port}/latest/meta-data/ /x\n`],
    ["FROM a registry on the host's loopback", (port) => `FROM 127.0.0.1:${port}/evil:1\n`],
    [
      'COPY --from a registry on the metadata address',
      (port) => `${base}COPY --from=169.254.169.254:${port}/evil:1 /x /x\n`,
    ],
  ])('%s', async (_, text) => {
    await expectRefused(host, [dockerfile(endless, text(host.canary.port))], /CONTAINER_BUILD_FAILED/);
  });
});

describe('builds that take far too much', () => {
  test.each([
    ['in one file', 'head -c 3G /dev/zero > /big'],
    ['in many files', 'for i in 1 2 3 4 5 6 7 8; do head -c 200M /dev/zero > /big$i || exit 1; done'],
  ])('of the disk, %s', async (_, step) => {
    const before = await bytesOnDisk(host.real.directory);
    const { failure } = await host.build([dockerfile(`RUN ${step}\n${endless}`)]);
    expect(failure).toMatchObject({ facts: { reason: 'DISK_STORAGE_FULL' } });
    expect((await bytesOnDisk(host.real.directory)) - before).toBeLessThan(100 * mib);
  });

  test('of the log', async () => {
    const before = process.memoryUsage().rss;
    const flood = `RUN yes "$(head -c 200 /dev/zero | tr '\\0' x)" | head -c 200M; false\n`;
    const { failure, buildId } = await host.build([dockerfile(flood + endless)]);
    expect(failure?.message).toMatch(/CONTAINER_BUILD_FAILED/);
    expect((await host.real.node.buildLog(buildId)).length).toBeLessThan(6 * mib);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * mib);
  });
});

test('after all builds the host is what it was', () => watched.unchanged());
