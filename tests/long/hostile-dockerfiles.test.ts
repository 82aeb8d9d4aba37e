// Builds of a stranger, each in its VM: zips and Dockerfiles that want out of it, to the host's files, network, disk and memory.
// A build takes its time there, so these are the most telling attempts; tests/long/hostile-builds.test.ts has the others.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stepProbes } from '../real/hostile/steps.ts';
import { bytesOnDisk } from '../support/hostile/aftermath.ts';
import { type BuildHost, type Built, hostileFiles } from '../support/hostile/build-host.ts';
import {
  base,
  dockerfile,
  endless,
  expectRefused,
  link,
  runSteps,
  type Steps,
  startWatchedBuildHost,
  type WatchedBuildHost,
} from '../support/hostile/build-probes.ts';
import { vmmsOf } from '../support/vmms.ts';
import type { ZipEntry } from '../support/zip.ts';

const mib = 2 ** 20;
let watched: WatchedBuildHost;
let host: BuildHost;

beforeAll(async () => {
  watched = await startWatchedBuildHost({ buildIsolation: 'vm' });
  host = watched.host;
});
afterAll(() => watched?.[Symbol.asyncDispose]());

describe('zips', () => {
  test.each<[string, ZipEntry[]]>([
    ['a symlink that climbs out', [dockerfile(endless), link('d/out', '../../../../etc/shadow')]],
    ['a file through a symlink', [dockerfile(endless), link('d', '.'), { name: 'd/x', data: 'x' }]],
    ['a Dockerfile that is a link', [link('Dockerfile', 'other'), { name: 'other', data: base + endless }]],
  ])('with %s', async (_, entries) => {
    await expectRefused(host, entries, /ARCHIVE_/);
  });
});

describe('instructions', () => {
  test('COPY of a path above the context', async () => {
    const [file = ''] = host.files;
    const copy = `COPY ../../../../../../../..${file} /stolen/\nRUN cat /stolen/*; false\n`;
    await expectRefused(host, [dockerfile(copy + endless)], /CONTAINER_BUILD_FAILED/);
  });

  test('FROM a registry on a private address', async () => {
    const from = `FROM 10.213.7.7:${host.canary.port}/evil:1\n`;
    await expectRefused(
      host,
      [dockerfile(endless, from)],
      /CONTAINER_BUILD_FAILED: .*10\.213\.7\.7.*could not be pulled/,
    );
  });
});

describe('a RUN step as root, with links that a step before made and a cache that climbs out', () => {
  let steps: Steps;
  beforeAll(async () => {
    const [file = ''] = host.files;
    const made = `RUN mkdir /d && ln -s ${file} /d/file && ln -s / /d/root && ln -s /proc/1/root /d/first\n`;
    const cache = '--mount=type=cache,target=/cached,id=../../../../../../var/tmp';
    const looks = `cat /cached/* /stolen/file /stolen/root${file} /stolen/first${file};`;
    steps = await runSteps(host, `${made}${base}COPY --from=0 /d /stolen\n`, cache, looks);
  });
  stepProbes(
    () => host,
    () => steps,
  );
});

describe('builds that take too much', () => {
  test('of the disk, in many files that are each small enough', async () => {
    const before = await bytesOnDisk(host.real.directory);
    const many = 'RUN for i in 1 2; do head -c 55M /dev/zero > /big$i || exit 1; done\n';
    const { failure } = await host.build([dockerfile(many + endless)], { diskMib: 100 });
    expect(failure).toMatchObject({ facts: { reason: 'DISK_STORAGE_FULL' } });
    expect((await bytesOnDisk(host.real.directory)) - before).toBeLessThan(100 * mib);
  });

  describe('of the log and of the time', () => {
    let built: Built;
    let grown: number;
    let log = '';
    beforeAll(async () => {
      const before = process.memoryUsage().rss;
      const stop = new AbortController();
      const onLog = (text: string): void => {
        log = (log + text).slice(-1000);
        if (log.includes("the rest of the build's output is not kept")) stop.abort();
      };
      const stubborn = `sh -c 'trap "" TERM HUP; yes "$(head -c 200 /dev/zero | tr "\\\\0" x)"'`;
      const flood = `RUN setsid ${stubborn} & ${stubborn} & ${stubborn}\n`;
      built = await host.build([dockerfile(flood + endless)], {}, { signal: stop.signal, onLog });
      grown = process.memoryUsage().rss - before;
    });

    test('the log has an end, on the disk and in memory', async () => {
      expect(log).toContain("the rest of the build's output is not kept");
      expect((await host.real.node.buildLog(built.buildId)).length).toBeLessThan(6 * mib);
      expect(grown).toBeLessThan(300 * mib);
    });

    test('a cancelled build ends at once, with its VM', () => {
      expect(built.failure?.code).toBe('aborted');
      expect(vmmsOf(host.real.directory)).toEqual([]);
    });
  });
});

describe('after all builds', () => {
  test('the host is what it was, and an honest build still succeeds', async () => {
    await watched.unchanged();
    const honest = dockerfile('COPY *.py /probe/\nWORKDIR /probe\nCMD ["python3", "app.py"]\n');
    const { failure, buildId } = await host.build([honest, ...(await hostileFiles())]);
    expect(failure).toBeUndefined();
    await host.real.node.launch({ microvmId: 'microvm-honest', buildId });
    await host.real.node.terminate('microvm-honest');
  });
});
