// What tests of hostile builds have in common: pieces of Dockerfiles and zips, and what must hold after each of them.
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { expect } from 'vitest';
import type { NodeSettings } from '../../../src/node/open-node.ts';
import type { ZipEntry } from '../zip.ts';
import { strangeFiles, strayFiles } from './aftermath.ts';
import { type BuildHost, type Built, hostileFiles, startBuildHost } from './build-host.ts';

export const base = 'FROM localhost/waterbear/python:3\n';
export const endless = 'CMD ["sleep", "1000"]\n';
export const dockerfile = (text: string, from = base): ZipEntry => ({ name: 'Dockerfile', data: from + text });
export const link = (name: string, target: string): ZipEntry => ({ name, data: target, mode: 0o120777 });

/** Without network namespaces, which come and go with slots, and without what somebody else mounts in a temporary directory of theirs. */
async function hostMounts(ownDirectory: string): Promise<string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  return lines.filter((line) => {
    const [kind, point = ''] = line.split(' ');
    return kind !== 'nsfs' && (!isBelow(point, tmpdir()) || isBelow(point, ownDirectory));
  });
}

const isBelow = (path: string, directory: string): boolean => path.startsWith(`${directory}/`);

/** A build that fails for `reason`, gives nothing of the host away and reaches nobody. */
export async function expectRefused(host: BuildHost, entries: readonly ZipEntry[], reason: RegExp): Promise<Built> {
  forgetVisits(host);
  const built = await host.build(entries);
  expect(built.failure?.code).toBe('build_failed');
  expect(built.failure?.message).toMatch(reason);
  for (const text of [built.log, built.failure?.message]) expect(text).not.toContain(host.secret);
  expect(host.canary.came).toEqual([]);
  expect(host.outside.visits).toEqual([]);
  return built;
}

function forgetVisits(host: BuildHost): void {
  host.canary.came.length = 0;
  host.outside.forget();
}

/** A build whose RUN step, root, tried everything in tests/support/apps/hostile/steps.py. */
export interface Steps {
  built: Built;
  /** Connections and datagrams that came from it. */
  visits: string[];
  /** What the step said of this attempt. Throws when it said nothing. */
  told<T>(name: string): T;
}

/** `first`: instructions before those of the step. `options` and `command`: of the RUN instruction, before the step itself. */
export async function runSteps(host: BuildHost, first = '', options = '', command = ''): Promise<Steps> {
  forgetVisits(host);
  const links = [link('links/up', '../Dockerfile'), { name: 'links/plain', data: 'plain' }];
  const entries = [...(await hostileFiles()), { name: 'order.json', data: host.order }, ...links];
  const copies = 'COPY *.py order.json /probe/\nCOPY links /links/\n';
  const step = `RUN ${options} ${command} cd /probe && python3 steps.py && false\n`;
  const built = await host.build([dockerfile(first + copies + step + endless), ...entries]);
  return {
    built,
    visits: [...host.canary.came, ...host.outside.visits],
    told: (name) => {
      const line = built.log.split('\n').find((one) => one.includes(`PROBE ${name} `));
      if (!line) throw new Error(`The step said nothing of ${name}: ${built.log.slice(-2000)}`);
      return JSON.parse(line.slice(line.indexOf(`PROBE ${name} `) + name.length + 7));
    },
  };
}

/** A host for builds; `unchanged` fails when anything on the machine is not as it was before them. */
export interface WatchedBuildHost extends AsyncDisposable {
  host: BuildHost;
  unchanged(): Promise<void>;
}

export async function startWatchedBuildHost(settings: Partial<NodeSettings>): Promise<WatchedBuildHost> {
  const host = await startBuildHost(settings);
  process.env.WBPROBE_SECRET = host.secret;
  const mounts = await hostMounts(host.real.directory);
  const stray = await strayFiles();
  return {
    host,
    async unchanged() {
      expect(await hostMounts(host.real.directory)).toEqual(mounts);
      expect((await strayFiles()).filter((path) => !stray.includes(path))).toEqual([]);
      expect(await strangeFiles(host.real.directory, [/^images\/wbprobe-\d+$/, /^cache/])).toEqual([]);
      for (const file of host.files) expect(await readFile(file, 'utf8')).toBe(`${host.secret}\n`);
      expect(await host.outside.escaped()).toBe(0);
    },
    async [Symbol.asyncDispose]() {
      delete process.env.WBPROBE_SECRET;
      await host[Symbol.asyncDispose]();
    },
  };
}
