// The disk fails once, at one operation of a long script; all of them have their turn in tests/long.
import { expect, test } from 'vitest';
import { leftovers, playScript } from '../support/failing-disk.ts';
import { draws } from '../support/seeded-draws.ts';
import { startTestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const seed = 1;
const rounds = 8;
/** Lines of a build log are written together or one by one. */
const fewer = 10;

test('whatever write fails: what was acknowledged stands, what was not can be asked for again, nothing is left over', async () => {
  const server = await startTestServer({ driver: 'fake' });
  try {
    const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
    await server.s3.putObject({ Bucket: 'test-bucket', Key: 'demo.zip', Body: zip });
    const before = await leftovers(server.data);
    const { operations, toldOf } = await playScript(server, 'whole', undefined);
    expect([toldOf, await leftovers(server.data)]).toEqual([[], before]);
    const draw = draws(seed);
    for (let round = 0; round < rounds; round++) {
      const fault = {
        at: Math.floor(draw() * (operations - fewer)),
        code: draw() < 0.5 ? 'EIO' : 'ENOSPC',
        partly: draw() < 0.5,
      } as const;
      const { failed } = await playScript(server, `round-${round}`, fault);
      expect(failed, `round ${round}`).toBeDefined();
    }
    // What could not be removed when it failed, a start removes.
    await server.restart();
    expect(await leftovers(server.data)).toEqual(before);
  } finally {
    await server.close();
  }
}, 120_000);
