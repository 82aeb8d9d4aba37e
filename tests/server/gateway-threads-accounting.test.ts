// What threads of the gateway write down and revoke, as if they were one.
import { readFile, rename, stat } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { until } from '../fake/gateway-rig.ts';
import { addVm, hold, startThreads, type ThreadsRig } from './threads-rig.ts';

let rig: ThreadsRig;
afterEach(() => rig[Symbol.asyncDispose]());

const token = (microvmId = 'vm'): Promise<string> =>
  rig.tokens.mint({ microvmId, ports: 'all', expiresAtMs: Date.now() + 60_000 });
const ask = async (text: string): Promise<number> =>
  (await rig.ask('vm', { headers: { 'x-aws-proxy-auth': text } })).status;
const lines = async (path: string): Promise<Record<string, unknown>[]> =>
  (await readFile(path, 'utf8').catch(() => ''))
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

async function untilLines(path: string, n: number): Promise<Record<string, unknown>[]> {
  for (;;) {
    const found = await lines(path);
    if (found.length >= n) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('once a revocation is answered no thread lets the token in, and what it had opened breaks', async () => {
  rig = await startThreads(2);
  await addVm(rig, 'vm', (req, res) => (req.url === '/held' ? void res.write('begun') : void res.end()));
  for (let round = 0; round < 10; round++) {
    const [bad, good] = [await token(), await token()];
    expect(await Promise.all(Array.from({ length: 8 }, () => ask(bad)))).toEqual(Array(8).fill(200));
    const held = await hold({ ...rig.options('vm', bad), path: '/held' });
    await rig.tokens.revokeToken('vm', (await rig.tokens.claimsOf(bad))?.jti ?? '');
    const after = await Promise.all(Array.from({ length: 16 }, (_, i) => ask(i % 2 ? bad : good)));
    expect(after).toEqual(after.map((_, i) => (i % 2 ? 403 : 200)));
    await held.broken;
  }
  const before = await token();
  await rig.keys.rotate();
  expect(await Promise.all([before, await token()].map(ask))).toEqual([200, 200]);
  await rig.tokens.revokeEverything();
  expect(await Promise.all([before, await token()].map(ask))).toEqual([403, 200]);
  await rig.workers[0]?.terminate();
  await until(() => rig.workers.length === 3);
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask(before).catch(() => 403)));
  expect(new Set(answers)).toEqual(new Set([403]));
});

test('all threads count into one sum and write into one file, which may be moved away', async () => {
  rig = await startThreads(2);
  await addVm(rig, 'vm', (_, res) => void res.end('12345'));
  const burst = () => Promise.all(Array.from({ length: 60 }, () => rig.ask('vm')));
  await burst();
  const first = await untilLines(rig.accessLog, 60);
  expect(first.map(({ microvmId, account, bytesOut }) => [microvmId, account, bytesOut])).toEqual(
    Array(60).fill(['vm', '000000000000', 5]),
  );
  const { total, byMicrovm, duration } = await rig.gateway.traffic();
  expect([total[2], byMicrovm.get('vm')?.counts[2]]).toEqual([60, 60]);
  expect(duration.slice(0, -1).reduce((a, b) => a + b)).toBe(60);
  await rename(rig.accessLog, `${rig.accessLog}.1`);
  rig.gateway.reopenLog();
  for (;;) {
    if (await stat(rig.accessLog).catch(() => undefined)) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await burst();
  await rig.gateway.close();
  const all = [...(await lines(`${rig.accessLog}.1`)), ...(await lines(rig.accessLog))];
  expect(new Set(all.map(({ requestId }) => requestId)).size).toBe(120);
});

test('a MicroVM that is forgotten has no numbers of its own', async () => {
  rig = await startThreads(2);
  await addVm(rig, 'vm', (_, res) => void res.end());
  await Promise.all(Array.from({ length: 10 }, () => rig.ask('vm')));
  rig.source.vms.delete('vm');
  rig.source.tell({ kind: 'left', microvmId: 'vm' });
  rig.source.tell({ kind: 'forgotten', microvmId: 'vm' });
  const counted = async () => {
    const { total, byMicrovm } = await rig.gateway.traffic();
    return [total[2], byMicrovm.size];
  };
  // A client has its answer a moment before the request is over.
  await expect.poll(counted).toEqual([10, 0]);
});
