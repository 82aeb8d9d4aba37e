// The gateway in threads of its own: what they share, what they hear, and what becomes of one that dies.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { connect } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import type { EndpointFacts } from '../../src/contract/data-plane.ts';
import { openAuthority } from '../../src/gateway/authority.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Fault } from '../../src/lib/errors.ts';
import { until } from '../fake/gateway-rig.ts';
import { hostOf } from '../fake/pretended-plane.ts';
import { type Client, newClient, opened } from '../support/web-socket-client.ts';
import { addVm, hold, startThreads, type ThreadsRig } from './threads-rig.ts';

let rig: ThreadsRig;
afterEach(() => rig[Symbol.asyncDispose]());

const echo: RequestListener = (req, res) => void req.pipe(res);

test('200 requests over two threads to one sleeping MicroVM: each thread asks once, all are counted and answered', async () => {
  rig = await startThreads(2);
  const vm = await addVm(rig, 'vm', echo);
  vm.sleep(rig.source);
  const gate = Promise.withResolvers<void>();
  rig.source.onAsked = async (asleep) => {
    await gate.promise;
    if (!asleep.facts.waking) asleep.wake(rig.source);
  };
  const asked = Array.from({ length: 200 }, (_, i) => rig.ask('vm', { method: 'POST' }, `request ${i}`));
  // Each counts itself before its thread asks.
  await until(() => vm.signs.inFlight === 200 && rig.source.asked.length >= 2);
  expect(rig.source.asked).toEqual(['vm', 'vm']);
  gate.resolve();
  const answers = await Promise.all(asked);
  expect(answers.map(({ body }) => body)).toEqual(answers.map((_, i) => `request ${i}`));
  await until(() => vm.signs.inFlight === 0);
  expect(vm.signs.wakingTime).toBe(2);
});

test('a running MicroVM is answered for without a word to the thread with the database', async () => {
  rig = await startThreads(2);
  const vm = await addVm(rig, 'vm', echo);
  await Promise.all(Array.from({ length: 20 }, () => rig.ask('vm', { method: 'POST' }, 'x')));
  expect(rig.source.asked).toEqual([]);
  expect(vm.signs.activity).toBeGreaterThanOrEqual(40);
});

test('the reason of a wake that failed decides the answer; the next request asks again', async () => {
  rig = await startThreads(1);
  const vm = await addVm(rig, 'vm', echo);
  vm.sleep(rig.source);
  rig.source.onAsked = async () => {
    throw new Fault('capacity_exhausted', { what: 'The host is full.' });
  };
  expect(await rig.ask('vm')).toMatchObject({ status: 502, headers: { 'x-waterbear-reason': 'host_full' } });
  rig.source.onAsked = async (asleep) => asleep.wake(rig.source);
  expect((await rig.ask('vm')).status).toBe(200);
});

test('an answer that is older than a request does not count for it', async () => {
  rig = await startThreads(1);
  const vm = await addVm(rig, 'vm', echo);
  vm.sleep(rig.source);
  let answers = 0;
  // The first answer comes when the MicroVM sleeps again.
  rig.source.onAsked = async (asleep) => {
    answers += 1;
    asleep.wake(rig.source);
    if (answers === 1) asleep.sleep(rig.source);
  };
  expect((await rig.ask('vm')).status).toBe(200);
  expect(answers).toBe(2);
});

test('an endpoint and a token key are good in every thread as soon as they are announced', async () => {
  rig = await startThreads(2);
  for (let round = 0; round < 10; round++) {
    await rig.keys.rotate();
    await addVm(rig, `vm-${round}`, echo);
    expect((await rig.ask(`vm-${round}`)).status).toBe(200);
  }
});

test('a host that is forgotten is unknown, one that has ended is not', async () => {
  rig = await startThreads(1);
  const vm = await addVm(rig, 'vm', echo);
  vm.sleep(rig.source);
  rig.source.onAsked = async () => {
    throw new Error('It has ended.');
  };
  expect((await rig.ask('vm')).status).toBe(502);
  rig.source.vms.delete('vm');
  rig.source.tell({ kind: 'forgotten', microvmId: 'vm' });
  expect((await rig.ask('vm')).status).toBe(404);
});

test('when a MicroVM leaves, its connections end', async () => {
  rig = await startThreads(1);
  const vm = await addVm(rig, 'vm', (_, res) => void res.write('begun'));
  const token = await rig.tokens.mint({ microvmId: 'vm', ports: 'all', expiresAtMs: Date.now() + 60_000 });
  const { broken } = await hold(rig.options('vm', token));
  vm.sleep(rig.source);
  await broken;
  await until(() => vm.signs.inFlight === 0);
});

test('shells and WebSockets of all threads hear that their MicroVM leaves, and come back by one wake of each', async () => {
  rig = await startThreads(2);
  const vm = await addVm(rig, 'vm', echo);
  const order = { microvmId: 'vm', expiresAtMs: Date.now() + 60_000 };
  const tokens = [
    await rig.tokens.mint({ ...order, ports: [], shell: true }),
    await rig.tokens.mint({ ...order, ports: 'all' }),
  ];
  const connectAll = (): Promise<Client[]> =>
    Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const { headers, ca } = rig.options('vm', tokens[i % 2] ?? '');
        const url = `wss://${hostOf('vm')}:${rig.port}/shell`;
        return opened(newClient({ url, ca: String(ca), headers: headers as Record<string, string> }));
      }),
    );
  const first = await connectAll();
  await Promise.all(first.filter((_, i) => i % 2 === 0).map((shell) => shell.until('λ $ ')));
  const openNow = async () => (await rig.gateway.traffic()).byMicrovm.get('vm')?.open;
  expect(await openNow()).toEqual({ requests: 0, webSockets: 20 });
  vm.sleep(rig.source);
  const codes = await Promise.all(first.map((client) => client.closed()));
  expect(new Set(codes.map(({ code }) => code))).toEqual(new Set([1001]));
  await until(() => vm.signs.inFlight === 0);
  rig.source.onAsked = async (asleep) => {
    if (!asleep.facts.waking) asleep.wake(rig.source);
  };
  const second = await connectAll();
  expect(rig.source.asked.length).toBeLessThanOrEqual(2);
  expect(vm.signs.wakingTime).toBe(2);
  await rig.tokens.revokeMicrovm('vm');
  const cut = await Promise.all(second.map((client) => client.closed()));
  expect(new Set(cut.map(({ code }) => code))).toEqual(new Set([1008]));
  await until(() => vm.signs.inFlight === 0);
  expect(await openNow()).toEqual({ requests: 0, webSockets: 0 });
});

test.each([1, 2])(
  'of %i threads that die, each is replaced and serves; nothing of the dead stays counted',
  async (n) => {
    rig = await startThreads(n);
    const vm = await addVm(rig, 'vm', (_, res) => void res.write('begun'));
    const asleep = await addVm(rig, 'asleep', echo);
    asleep.sleep(rig.source);
    const token = await rig.tokens.mint({ microvmId: 'vm', ports: 'all', expiresAtMs: Date.now() + 60_000 });
    const held = await Promise.all(Array.from({ length: 8 }, () => hold(rig.options('vm', token))));
    expect(vm.signs.inFlight).toBe(8);
    const dead = [...rig.workers];
    await Promise.all(dead.map((worker) => worker.terminate()));
    await Promise.all(held.map(({ broken }) => broken));
    await until(() => vm.signs.inFlight === 0 && rig.workers.length === 2 * n);
    expect(rig.logged.filter((event) => event === 'gateway.thread_ended')).toHaveLength(n);
    // Known before its time, on the port of before, and it may ask.
    const answers = await Promise.all(Array.from({ length: 10 }, () => untilAnswered('asleep')));
    expect(answers).toEqual(answers.map(() => 200));
    expect(new Set(rig.source.asked)).toEqual(new Set(['asleep']));
  },
);

test('an error that nobody caught ends its thread, not the server', async () => {
  rig = await startThreads(1);
  await addVm(rig, 'vm', echo);
  rig.source.tell({ kind: 'known', endpoint: null as unknown as EndpointFacts });
  await until(() => rig.workers.length === 2);
  expect(await untilAnswered('vm')).toBe(200);
});

test('a thread that keeps dying is started again less and less often', async () => {
  rig = await startThreads(1);
  const started = async (count: number): Promise<number> => {
    await until(() => rig.workers.length >= count);
    return Date.now();
  };
  const times: number[] = [];
  for (let count = 1; count <= 4; count++) {
    times.push(await started(count));
    await rig.workers.at(-1)?.terminate();
  }
  const pauses = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  // 0, 200, 400 ms; the first death is taken for an accident.
  expect(pauses[2]).toBeGreaterThanOrEqual(390);
});

test('in mode port each MicroVM has its port in one of the threads, and after a death again', async () => {
  rig = await startThreads(2, { endpointMode: 'port' });
  const ports = new Map<string, number>();
  for (const id of ['a', 'b', 'c']) {
    await addVm(rig, id, (_, res) => void res.end(id));
    ports.set(id, (await rig.gateway.listenFor(id)).port);
  }
  const askAll = () =>
    Promise.all(
      [...ports].map(([id, port]) => untilAnswered(id, { port, servername: 'localhost', host: '127.0.0.1' })),
    );
  expect(await askAll()).toEqual([200, 200, 200]);
  await rig.workers[0]?.terminate();
  expect(await askAll()).toEqual([200, 200, 200]);
  await rig.gateway.closeFor('a');
  const port = ports.get('a') ?? 0;
  await expect(rig.ask('a', { port, servername: 'localhost' })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await expect(rig.gateway.listen('127.0.0.1', 0)).rejects.toMatchObject({ code: 'conflict' });
});

test('a port that somebody has is refused, although threads may share theirs', async () => {
  rig = await startThreads(2);
  const other = await startThreads(2);
  try {
    await expect(other.gateway.listen('127.0.0.1', rig.port)).rejects.toThrow('EADDRINUSE');
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

test('a renewed certificate is used by all threads, and by those that come later', async () => {
  rig = await startThreads(2);
  await addVm(rig, 'vm', echo);
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-renewed-'));
  const renewed = await openAuthority({ directory, suffix: 'vm.localhost', loopback: false, clock: systemClock });
  await rm(directory, { recursive: true });
  rig.gateway.useCertificate(renewed);
  const ca = renewed.caCertificatePem;
  const askAll = () => Promise.all(Array.from({ length: 12 }, () => untilAnswered('vm', { ca })));
  expect(new Set(await askAll())).toEqual(new Set([200]));
  await rig.workers[1]?.terminate();
  await until(() => rig.workers.length === 3);
  expect(new Set(await askAll())).toEqual(new Set([200]));
});

test('a client goes on with its TLS session, whichever thread it is given to', async () => {
  rig = await startThreads(2);
  const vm = await addVm(rig, 'vm', echo);
  const { ca } = rig.options('vm', '');
  const where = { host: '127.0.0.1', port: rig.port, servername: vm.facts.host, ca, ALPNProtocols: ['http/1.1'] };
  const first = connect(where).resume();
  const [session] = await once(first, 'session');
  first.destroy();
  const reused = async (): Promise<boolean> => {
    const socket = connect({ ...where, session });
    await once(socket, 'secureConnect');
    const isReused = socket.isSessionReused();
    socket.destroy();
    return isReused;
  };
  const again = await Promise.all(Array.from({ length: 12 }, reused));
  expect(again).toEqual(again.map(() => true));
});

test('after close nothing is left', async () => {
  const before = process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
  rig = await startThreads(3);
  await addVm(rig, 'vm', echo);
  await rig.ask('vm');
  await rig.gateway.close();
  expect(rig.workers.map(({ threadId }) => threadId)).toEqual([-1, -1, -1]);
  expect(process.getActiveResourcesInfo().filter((name) => name === 'MessagePort')).toHaveLength(before);
  await expect(rig.ask('vm')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

/** Status of the first answer; while the threads are being replaced nobody may listen. */
async function untilAnswered(microvmId: string, options: Parameters<ThreadsRig['ask']>[1] = {}): Promise<number> {
  for (;;) {
    const headers = 'port' in options ? { headers: { host: `localhost:${options.port}` } } : {};
    const answer = await rig.ask(microvmId, { ...options, ...headers }).catch((error: { code?: string }) => error);
    if ('status' in answer) return answer.status;
    if (answer.code !== 'ECONNREFUSED' && answer.code !== 'ECONNRESET') throw answer;
    await later(10);
  }
}
