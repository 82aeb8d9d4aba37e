// Connections to applications, when the guest's side of the relay misbehaves.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import type { RelayAddress } from '../contract/node-api.ts';
import { pause } from '../lib/deadline.ts';
import { Relay } from './relay.ts';

let server: Server;
let sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  server.close();
});

async function addressOf(behave: (socket: Socket) => void): Promise<RelayAddress> {
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { host: '127.0.0.1', port };
}

const relayTo = async (behave: (socket: Socket) => void): Promise<Relay> => new Relay(await addressOf(behave));

test('what follows the answer belongs to the stream', async () => {
  const relay = await relayTo((socket) => socket.once('data', () => socket.end('+hello')));
  const stream = await relay.open(8080);
  let text = '';
  for await (const chunk of stream) text += chunk;
  expect(text).toBe('hello');
});

test.each<[string, (socket: Socket) => void]>([
  ['a refusal', (socket) => socket.once('data', () => socket.end('-'))],
  ['another byte', (socket) => socket.once('data', () => socket.end('\0+++'))],
  ['an end', (socket) => socket.end()],
  ['a reset', (socket) => socket.resetAndDestroy()],
])('%s is a guest_failed', async (_, behave) => {
  const relay = await relayTo(behave);
  await expect(relay.open(8080)).rejects.toMatchObject({ code: 'guest_failed' });
});

test('a shell is asked for by its word; an agent that does not know it is told apart', async () => {
  let word = '';
  const relay = await relayTo((socket) =>
    socket.once('data', (said) => {
      word = said.toString();
      socket.write('+');
    }),
  );
  (await relay.open('shell')).destroy();
  expect(word).toBe('shell\n');
  server.close();
  const old = await relayTo((socket) => socket.once('data', () => socket.resetAndDestroy()));
  await expect(old.open('shell')).rejects.toThrow(/opens no shell.*build it again/);
});

test('when the guest is given up, or leaves and resets them, its streams end with a fault', async () => {
  const relay = await relayTo((socket) => socket.once('data', () => socket.write('+')));
  const stream = await relay.open(8080);
  const failed = new Promise((resolve) => stream.once('error', resolve));
  relay.close();
  expect(await failed).toMatchObject({ code: 'guest_failed' });
  server.close();
  let isLeaving = false;
  const address = await addressOf((socket) => socket.once('data', () => socket.write('+')));
  const another = new Relay(address, () => isLeaving);
  for (const [leaves, expected] of [
    [false, { code: 'ECONNRESET' }],
    [true, { code: 'guest_failed' }],
  ] as const) {
    isLeaving = leaves;
    const one = await another.open(8080);
    const broken = new Promise((resolve) => one.once('error', resolve));
    sockets.at(-1)?.resetAndDestroy();
    one.resume();
    expect(await broken).toMatchObject(expected);
  }
});

test('a reset right after the answer throws at nobody', async () => {
  const relay = await relayTo((socket) => {
    socket.once('data', () => socket.write('+', () => socket.resetAndDestroy()));
  });
  const stream = await relay.open(8080);
  // Nobody has looked at the stream yet: its error may not become the server's.
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  stream.resume();
  await closed;
});

test('a relay that says nothing is given up by its asker, or at the deadline, and leaves nothing open', async () => {
  const relay = await relayTo((socket) => socket.resume());
  const giveUp = new AbortController();
  const asked = relay.open(8080, giveUp.signal);
  asked.catch(() => {});
  await pause(20);
  giveUp.abort();
  await expect(asked).rejects.toMatchObject({ code: 'aborted' });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const late = relay.open(8080);
  late.catch(() => {});
  vi.advanceTimersByTime(10_000);
  vi.useRealTimers();
  await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
  await vi.waitUntil(() => sockets.every((socket) => socket.destroyed));
});

test('close ends what is open and what is being made', async () => {
  const relay = await relayTo((socket) =>
    socket.once('data', (said) => said.toString() === '1\n' && socket.write('+')),
  );
  const open = await relay.open(1);
  const closed = new Promise<void>((resolve) => open.once('close', resolve));
  const asked = relay.open(2);
  asked.catch(() => {});
  await vi.waitUntil(() => sockets.length === 2);
  relay.close();
  await closed;
  await expect(asked).rejects.toMatchObject({ code: 'guest_failed' });
});
