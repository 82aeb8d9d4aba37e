import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { RelayAddress } from '../../contract/node-api.ts';
import { Signs } from '../../contract/signs.ts';
import { systemClock } from '../../lib/clock.ts';
import { EndpointTable } from './endpoint-table.ts';

const never = new AbortController().signal;
let server: Server;
let sockets: Socket[];
let relay: RelayAddress;
/** What the relay does with a connection that has said its port. */
let behave: (socket: Socket) => void;
let signs: Signs;
let asked: string[];
let catchUp: () => void;
let table: EndpointTable;
const owner = { account: '000000000000', imageArn: 'arn:image' };

beforeEach(async () => {
  sockets = [];
  behave = (socket) => socket.write('+');
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).once('data', () => behave(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  relay = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  signs = new Signs();
  asked = [];
  catchUp = () => {};
  table = new EndpointTable([{ microvmId: 'vm', host: 'vm.test', owner, signs: signs.buffer }], {
    counter: { index: 0, clock: systemClock, endIsActivity: true },
    ask: (microvmId) => asked.push(microvmId),
    catchUp: () => catchUp(),
  });
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

function wake(number = 1): void {
  signs.wake(number, 0);
  table.apply({ kind: 'woke', microvmId: 'vm', waking: { number, relay } });
}

function sleep(): void {
  signs.leave();
  table.apply({ kind: 'left', microvmId: 'vm' });
}

test('what runs is known to run; a waking time of which only the signs know is asked for', () => {
  wake();
  expect(table.awake('vm', never)).toBeUndefined();
  signs.wake(2, 0);
  const wait = table.awake('vm', never);
  wait?.catch(() => {});
  expect(wait).toBeInstanceOf(Promise);
  expect(asked).toEqual(['vm']);
});

test('one question for all that wait; one that gives up leaves the others waiting', async () => {
  const leaving = new AbortController();
  const waits = [never, leaving.signal, never].map((signal) => table.awake('vm', signal));
  expect(asked).toEqual(['vm']);
  leaving.abort();
  await expect(waits[1]).rejects.toMatchObject({ code: 'aborted' });
  wake();
  table.awoke('vm');
  await Promise.all([waits[0], waits[2]]);
  expect(asked).toEqual(['vm']);
});

test('an answer that is not true any more is asked for again; a failure reaches all with its facts', async () => {
  const waits = [1, 2].map(() => table.awake('vm', never));
  const rejected = expect(Promise.all(waits)).rejects.toMatchObject({ code: 'conflict', facts: { what: 'It ended.' } });
  wake();
  sleep();
  table.awoke('vm');
  await vi.waitUntil(() => asked.length === 2);
  table.awoke('vm', { code: 'conflict', facts: { what: 'It ended.' } });
  await rejected;
  await expect(waits[1]).rejects.toMatchObject({ code: 'conflict' });
});

test('what was announced but not heard of yet is found all the same', () => {
  const other = new Signs();
  catchUp = () => {
    table.apply({ kind: 'known', endpoint: { microvmId: 'new', host: 'new.test', owner, signs: other.buffer } });
  };
  expect(table.find('new.test')).toMatchObject({ microvmId: 'new', host: 'new.test' });
  expect(table.find('unknown.test')).toBeUndefined();
  catchUp = () => {};
  const request = table.begin('new');
  expect(other.inFlight).toBe(1);
  request.end();
  table.apply({ kind: 'forgotten', microvmId: 'new' });
  expect(table.find('new.test')).toBeUndefined();
});

test('a stream is refused while it sleeps, and when its waking time ended before the relay answered', async () => {
  await expect(table.open('vm', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  wake();
  (await table.open('vm', 80, never)).destroy();
  // This thread has not been told yet, and the address may be another MicroVM's by now.
  behave = (socket) => {
    signs.leave();
    socket.write('+');
  };
  await expect(table.open('vm', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  await vi.waitUntil(() => sockets.every((socket) => socket.destroyed || socket.readableEnded));
  const { length } = sockets;
  await expect(table.open('vm', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  expect(sockets).toHaveLength(length);
});

test('a sleep that is called off while a stream is being opened costs it nothing', async () => {
  wake();
  behave = (socket) => {
    signs.stop();
    socket.write('+');
  };
  (await table.open('vm', 80, never)).destroy();
});

test('when it leaves, listeners hear of it, and all connections end, those being made too', async () => {
  const left: string[] = [];
  table.onLeave((microvmId) => left.push(microvmId));
  wake();
  const stream = await table.open('vm', 80, never);
  const closed = new Promise((resolve) => stream.once('close', resolve));
  behave = () => {};
  const opening = expect(table.open('vm', 80, never)).rejects.toMatchObject({ code: 'guest_failed' });
  await vi.waitUntil(() => sockets.length === 2);
  sleep();
  await closed;
  await opening;
  expect(left).toEqual(['vm']);
});

test.each(['end', 'reset'])(
  'whoever sees a stream %s because the MicroVM leaves has heard that it leaves',
  async (how) => {
    const heard: string[] = [];
    table.onLeave(() => heard.push('left'));
    wake();
    const stream = await table.open('vm', 80, never);
    for (const event of ['end', 'error']) stream.once(event, () => heard.push('over'));
    signs.leave();
    catchUp = () => table.apply({ kind: 'left', microvmId: 'vm' });
    if (how === 'end') sockets[0]?.end();
    else sockets[0]?.resetAndDestroy();
    stream.resume();
    await vi.waitUntil(() => stream.destroyed);
    expect(heard[0]).toBe('left');
  },
);

test("a guest that falls asleep resets its streams: they end with a Fault, told or not; a reset of one that runs is the application's", async () => {
  const resets = async (): Promise<unknown> => {
    const stream = await table.open('vm', 80, never);
    const failed = new Promise((resolve) => stream.once('error', resolve));
    stream.resume();
    sockets.at(-1)?.resetAndDestroy();
    return failed;
  };
  wake();
  expect(await resets()).toMatchObject({ code: 'ECONNRESET' });
  const stream = await table.open('vm', 'shell', never);
  const failed = new Promise((resolve) => stream.once('error', resolve));
  let told = 0;
  catchUp = () => {
    told += 1;
  };
  stream.resume();
  signs.leave();
  sockets.at(-1)?.resetAndDestroy();
  expect(await failed).toMatchObject({ code: 'guest_failed' });
  expect(told).toBe(1);
});
