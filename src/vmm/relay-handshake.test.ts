// Connections to applications, when the guest's side of the relay misbehaves.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { pause } from '../lib/deadline.ts';
import { GuestClient } from './guest-client.ts';

let server: Server;
let sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  server.close();
});

async function clientOf(relay: (socket: Socket) => void): Promise<GuestClient> {
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    relay(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const wire = { namespace: 'x', tap: 'x', guestMac: 'x', uid: 1, relay: { host: '127.0.0.1', port } };
  return new GuestClient(new PassThrough(), wire);
}

test('what follows the answer belongs to the stream', async () => {
  const client = await clientOf((socket) => socket.once('data', () => socket.end('+hello')));
  const stream = await client.open(8080);
  let text = '';
  for await (const chunk of stream) text += chunk;
  expect(text).toBe('hello');
});

test.each<[string, (socket: Socket) => void]>([
  ['a refusal', (socket) => socket.once('data', () => socket.end('-'))],
  ['another byte', (socket) => socket.once('data', () => socket.end('\0+++'))],
  ['an end', (socket) => socket.end()],
  ['a reset', (socket) => socket.resetAndDestroy()],
])('%s is a guest_failed', async (_, relay) => {
  const client = await clientOf(relay);
  await expect(client.open(8080)).rejects.toMatchObject({ code: 'guest_failed' });
});

test('a shell is asked for by its word; an agent that does not know it is told apart', async () => {
  let word = '';
  const client = await clientOf((socket) =>
    socket.once('data', (said) => {
      word = said.toString();
      socket.write('+');
    }),
  );
  (await client.open('shell')).destroy();
  expect(word).toBe('shell\n');
  server.close();
  const old = await clientOf((socket) => socket.once('data', () => socket.resetAndDestroy()));
  await expect(old.open('shell')).rejects.toThrow(/opens no shell.*build it again/);
});

test('when the guest is given up, its streams end with a fault', async () => {
  const client = await clientOf((socket) => socket.once('data', () => socket.write('+')));
  const stream = await client.open(8080);
  const failed = new Promise((resolve) => stream.once('error', resolve));
  client.close();
  expect(await failed).toMatchObject({ code: 'guest_failed' });
});

test('a reset right after the answer throws at nobody', async () => {
  const client = await clientOf((socket) => {
    socket.once('data', () => socket.write('+', () => socket.resetAndDestroy()));
  });
  const stream = await client.open(8080);
  // Nobody has looked at the stream yet: its error may not become the server's.
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  stream.resume();
  await closed;
});

test('a relay that says nothing is given up by its asker, or at the deadline, and leaves nothing open', async () => {
  const client = await clientOf((socket) => socket.resume());
  const giveUp = new AbortController();
  const asked = client.open(8080, giveUp.signal);
  asked.catch(() => {});
  await pause(20);
  giveUp.abort();
  await expect(asked).rejects.toMatchObject({ code: 'aborted' });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const late = client.open(8080);
  late.catch(() => {});
  vi.advanceTimersByTime(10_000);
  vi.useRealTimers();
  await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
  await vi.waitUntil(() => sockets.every((socket) => socket.destroyed));
});
