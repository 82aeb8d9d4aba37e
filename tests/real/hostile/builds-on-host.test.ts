// RUN steps in the cage on the host: they are root there too, and get even less than in a VM, since the kernel is everybody's.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BuildHost } from '../../support/hostile/build-host.ts';
import {
  dockerfile,
  endless,
  expectRefused,
  runSteps,
  type Steps,
  startWatchedBuildHost,
  type WatchedBuildHost,
} from '../../support/hostile/build-probes.ts';
import { commandLines } from '../../support/process-facts.ts';
import { stepProbes } from './steps.ts';

const denied = /^E[A-Z]+$/;
let watched: WatchedBuildHost;
let host: BuildHost;

beforeAll(async () => {
  watched = await startWatchedBuildHost({ buildIsolation: 'host' });
  host = watched.host;
});
afterAll(() => watched?.[Symbol.asyncDispose]());

describe('a RUN step as root', () => {
  let steps: Steps;
  beforeAll(async () => {
    steps = await runSteps(host);
  });
  stepProbes(
    () => host,
    () => steps,
  );

  test.each([
    ['opens no device', 'nodes', 20],
    ['mounts nothing', 'mounts', 7],
    ['sets nothing of the kernel', 'kernel', 7],
  ])('%s', (_, what, attempts) => {
    const told = steps.told<string[]>(what);
    expect(told.length).toBeGreaterThan(attempts);
    for (const how of told) expect(how).toMatch(denied);
  });
});

test.each([
  ["the host's loopback", '127.0.0.1'],
  ['the metadata service', '169.254.169.254'],
  ['a private address', '10.213.7.7'],
])('ADD of a URL on %s', async (_, address) => {
  const add = `ADD http://${address}:${host.canary.port}/x /x\n`;
  await expectRefused(host, [dockerfile(add + endless)], /CONTAINER_BUILD_FAILED.*(refused|no route)/s);
});

test('a cancelled build is ended, with everything it started', async () => {
  const name = `endless-${host.secret}`;
  const stubborn = `sh -c 'trap "" TERM HUP; while :; do sleep 1; done; : ${name}'`;
  const stop = new AbortController();
  const line = `RUN setsid ${stubborn} & ${stubborn} & ${stubborn}\n${endless}`;
  const building = host.build([dockerfile(line)], {}, { signal: stop.signal });
  await expect.poll(commandLines, { timeout: 60_000 }).toContain(stubborn.slice(-20, -1));
  stop.abort();
  expect((await building).failure?.code).toBe('aborted');
  await expect.poll(commandLines, { timeout: 20_000 }).not.toContain(name);
});

test('after all builds the host is what it was', () => watched.unchanged());
