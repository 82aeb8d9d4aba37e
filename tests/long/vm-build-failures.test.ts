// Each kind of failed build says the same in a VM as in the cage on the host.
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
    zipOf([{ name: 'app.py' }]),
    project('CMD x', { name: '../../etc/cron.d/x' }),
  ];
  const failed: Failed[] = [];
  for (const zip of zips) failed.push({ zip, why: (await failure(it, zip)).why });
  const { inVm, onHost } = await besideHost(failed);
  expect(inVm).toEqual(onHost);
});
