// Connections to applications, when the guest's side of the relay misbehaves.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { pause } from '../lib/deadline.ts';
import { Relay } from './relay.ts';

let server: Server;
let sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  server.close();
});

async function relayTo(behave: (socket: Socket) => void): Promise<Relay> {
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return new Relay({ host: '127.0.0.1', port });
}

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
