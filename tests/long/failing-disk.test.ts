// Every operation of the script has its turn to fail, once with EIO and once, in part, with ENOSPC.
import { expect, test } from 'vitest';
import { leftovers, playScript } from '../support/failing-disk.ts';
import { startTestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const quiet = 20;

test('whichever write fails: what was acknowledged stands, what was not can be asked for again, nothing is left over', async () => {
  const server = await startTestServer({ driver: 'fake' });
  try {
    const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
    await server.s3.putObject({ Bucket: 'test-bucket', Key: 'demo.zip', Body: zip });
    const before = await leftovers(server.data);
    const { operations } = await playScript(server, 'whole', undefined);
    const untold: string[] = [];
    for (let at = 0; at < operations; at++) {
      for (const [code, partly] of [
        ['EIO', false],
        ['ENOSPC', true],
      ] as const) {
        const { failed, toldOf } = await playScript(server, `at-${at}-${code.toLowerCase()}`, { at, code, partly });
        expect(failed, `operation ${at}`).toBeDefined();
        if (toldOf.length === 0) untold.push(failed ?? '');
      }
      if (at % quiet > 0) continue;
      await server.restart();
      expect(await leftovers(server.data)).toEqual(before);
    }
    await server.restart();
    expect(await leftovers(server.data)).toEqual(before);
    // Nobody needs to hear of a log line, or of files that could not be removed at once and go with the next start.
    expect(untold.filter((one) => !/^(remove|append) /.test(one))).toEqual([]);
  } finally {
    await server.close();
  }
}, 1_800_000);
