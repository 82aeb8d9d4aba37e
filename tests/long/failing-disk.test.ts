// Every operation of the script has its turn to fail, once with EIO and once, in part, with ENOSPC.
import { expect, test } from 'vitest';
import { leftovers, playScript } from '../support/failing-disk.ts';
import { startTestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const restartEach = 20;
/** Nobody needs to hear of a log line, of files that go later or with the next start, or of the count of orders in a sleeping MicroVM's record. */
const quiet =
  /^(remove|append) |\/microvm\.json|^mkdir microvm-\S+\/disk$|^sync (vms\/microvm-|\S+\/vms$)|^rename vms\/\S+\.removed$/;
/** Lines of a build log are written together or one by one. */
const fewer = 10;

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
        expect(failed !== undefined || at >= operations - fewer, `operation ${at}`).toBe(true);
        if (failed !== undefined && toldOf.length === 0) untold.push(failed);
      }
      if (at % restartEach > 0) continue;
      await server.restart();
      expect(await leftovers(server.data)).toEqual(before);
    }
    await server.restart();
    expect(await leftovers(server.data)).toEqual(before);
    expect(untold.filter((one) => !quiet.test(one))).toEqual([]);
  } finally {
    await server.close();
  }
}, 2_400_000);
