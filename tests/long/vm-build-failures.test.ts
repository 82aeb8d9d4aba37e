// Each kind of failed build says the same in a VM as in the cage on the host; limits of disk and time.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RealNode, startRealNode } from '../support/real-node.ts';
import { besideHost, type Failed, failure, project } from '../support/vm-builds.ts';
import { zipOf } from '../support/zip.ts';

let it: RealNode;
beforeAll(async () => {
  it = await startRealNode({ buildIsolation: 'vm' });
});
afterAll(() => it?.close());

test('failures say why, in the same words as on the host', async () => {
  const zips = [
    project('RUN echo look here && echo and there >&2 && exit 3\nCMD x'),
    project('RUN <<EOF\ntrue\nEOF'),
    project('COPY missing /x\nCMD x'),
    zipOf([{ name: 'Dockerfile', data: 'FROM localhost/nothing:1\nCMD x' }]),
    zipOf([{ name: 'app.py' }]),
    project('CMD x', { name: '../../etc/cron.d/x' }),
  ];
  const failed: Failed[] = [];
  for (const zip of zips) failed.push({ zip, why: (await failure(it, zip)).why });
  const { inVm, onHost } = await besideHost(failed);
  expect(inVm).toEqual(onHost);
});

test('an image too large for its disk ends as DISK_STORAGE_FULL', async () => {
  const { why } = await failure(it, project('CMD x'), { diskMib: 100 });
  expect(why).toMatch(/^DISK_STORAGE_FULL: .*100 MiB/);
});

test('an endless step that is a fork bomb too ends at the time limit, and the cache lives on', async () => {
  // Long enough for the step to begin on a busy machine.
  const patient = it;
  it = await startRealNode({ buildIsolation: 'vm', buildTimeoutMs: 45_000 });
  try {
    const bomb = `setsid sleep 100000 & echo ticking; bash -c 'f() { f | f & }; f; sleep 100000'; sleep 100000`;
    const { why, log } = await failure(it, project(`RUN ${bomb}\nCMD x`));
    expect(why).toMatch(/^CONTAINER_BUILD_FAILED: .*within 45 s/);
    expect(log).toContain('ticking');
    expect(existsSync(join(it.directory, 'build-cache', '000000000000.disk'))).toBe(true);
  } finally {
    await it.close();
    it = patient;
  }
});
