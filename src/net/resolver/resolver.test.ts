// The resolver against name servers of the test's own, on loopback.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { within } from '../../lib/deadline.ts';
import { silentLog } from '../../lib/log.ts';
import { ManualClock } from '../../lib/manual-clock.ts';
import { Allowance } from './allowance.ts';
import { frame, Unframer } from './framing.ts';
import { type NameServer, parseNameServers } from './name-servers.ts';
import { openResolver } from './resolver.ts';
import { query } from './test-query.ts';

let current = new AsyncDisposableStack();
afterEach(async () => {
  await current.disposeAsync();
  current = new AsyncDisposableStack();
});

/** A name server that answers with what `reply` makes, and tells who asked. */
async function nameServer(reply: (message: Buffer) => Buffer[], address = '127.0.0.1') {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const asked: { port: number; message: Buffer }[] = [];
  socket.on('message', (message, peer) => {
    asked.push({ port: peer.port, message });
    for (const answer of reply(message)) socket.send(answer, peer.port, peer.address);
  });
  socket.bind(0, address);
  await once(socket, 'listening');
  current.defer(() => void socket.close());
  return { asked, server: { address, port: socket.address().port } satisfies NameServer };
}

const answered = (message: Buffer, rcode = 0): Buffer => {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(0x8180 | rcode, 2);
  return copy;
};

async function resolver(servers: NameServer[], slotOf: (peer: string) => number | undefined = () => 3) {
  const preferred: NameServer[] = [];
  const nameServers = { list: async () => servers, answered: (server: NameServer) => void preferred.push(server) };
  const opened = await openResolver({ address: '127.0.0.1', slotOf, nameServers, clock: systemClock, log: silentLog });
  current.use(opened);
  const ask = async (message: Buffer, ms = 10_000): Promise<Buffer> => {
    const socket = createSocket('udp4');
    try {
      const reply = once(socket, 'message') as Promise<[Buffer]>;
      socket.send(message, opened.place.udpPort, '127.0.0.1');
      return (await within(ms, 'The answer', reply))[0];
    } finally {
      socket.close();
    }
  };
  return { opened, ask, preferred };
}

test('each question goes on from another port and under another id', async () => {
  const { asked, server } = await nameServer((message) => [answered(message)]);
  const { ask } = await resolver([server]);
  for (let i = 0; i < 20; i++) expect((await ask(query('a.example', 1))).readUInt32BE(0)).toBe(0x00078180);
  expect(new Set(asked.map(({ port }) => port)).size).toBeGreaterThan(10);
  expect(new Set(asked.map(({ message }) => message.readUInt16BE(0))).size).toBeGreaterThan(15);
});

test('false answers are passed over: another id, another question, another sender', async () => {
  const { server } = await nameServer((message) => {
    const otherId = answered(message, 3);
    otherId.writeUInt16BE(message.readUInt16BE(0) ^ 1, 0);
    const otherName = answered(message, 3);
    otherName[13] = 0x7a;
    return [otherId, otherName, answered(message)];
  });
  const { ask } = await resolver([server]);
  expect((await ask(query('a.example', 1))).readUInt16BE(2)).toBe(0x8180);
});

test('a server that fails, refuses or is not there is passed over; a failure of all is passed on', async () => {
  const failing = await nameServer((message) => [answered(message, 2)]);
  const good = await nameServer((message) => [answered(message, 3)], '::1');
  const nobody = { address: '127.0.0.1', port: 1 };
  const { ask, preferred } = await resolver([nobody, failing.server, good.server]);
  expect((await ask(query('a.example', 1))).readUInt16BE(2)).toBe(0x8183);
  expect(preferred).toEqual([good.server]);
  expect((await (await resolver([failing.server])).ask(query('a.example', 1))).readUInt16BE(2)).toBe(0x8182);
  expect((await (await resolver([nobody])).ask(query('a.example', 1))).readUInt16BE(2)).toBe(0x8182);
});

test('who is no slot gets nothing; a slot has few connections', async () => {
  const { server } = await nameServer((message) => [answered(message)]);
  const strange = await resolver([server], () => undefined);
  await expect(strange.ask(query('localhost', 1), 300)).rejects.toMatchObject({ code: 'deadline_exceeded' });
  const { opened } = await resolver([server]);
  const sockets = Array.from({ length: 6 }, () => connect(opened.place.tcpPort, '127.0.0.1').on('error', () => {}));
  const replies = sockets.map(async (socket) => {
    socket.write(frame(query('localhost', 1)));
    const came = new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true)).once('close', () => resolve(false));
    });
    return within(5000, 'An answer or an end', came);
  });
  expect((await Promise.all(replies)).filter(Boolean)).toHaveLength(4);
  opened.forget(3);
  await within(5000, 'The end', Promise.all(sockets.map((socket) => socket.destroyed || once(socket, 'close'))));
});

test('one slot cannot take the resolver from another', async () => {
  const clock = new ManualClock();
  const allowance = new Allowance(clock);
  const taken = (slot: number, tries: number) =>
    Array.from({ length: tries }, () => allowance.enter(slot)).filter(Boolean);
  expect(taken(1, 500)).toHaveLength(64);
  expect(allowance.enter(2)).toBe(true);
  for (let i = 0; i < 64; i++) allowance.leave(1);
  let more = 0;
  while (allowance.enter(1)) {
    allowance.leave(1);
    more += 1;
  }
  expect(more).toBe(136);
  await clock.advance(100);
  expect(taken(1, 50)).toHaveLength(10);
});

test('a stream is cut into its messages however it comes', () => {
  const stream = Buffer.concat([frame(Buffer.from('one')), frame(Buffer.alloc(0)), frame(Buffer.from('three'))]);
  for (let size = 1; size <= stream.length; size++) {
    const unframer = new Unframer(5);
    const chunks = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) =>
      stream.subarray(i * size, (i + 1) * size),
    );
    expect(chunks.flatMap((chunk) => unframer.push(chunk)).map(String)).toEqual(['one', '', 'three']);
  }
  expect(() => new Unframer(5).push(frame(Buffer.alloc(6)))).toThrow('larger');
});

test.each([
  ['nameserver 192.168.1.1\nnameserver 8.8.8.8\n', ['192.168.1.1', '8.8.8.8']],
  ['# nameserver 1.1.1.1\nsearch lan\nnameserver 127.0.0.53\n', ['127.0.0.53']],
  ['nameserver fd00::1\n nameserver 10.0.0.2 # lan\nnameserver fe80::1%eth0', ['fd00::1', '10.0.0.2', 'fe80::1%eth0']],
  ['nameserver evil;drop\n', ['127.0.0.1']],
  ['', ['127.0.0.1']],
])('name servers of %j', (text, expected) => {
  expect(parseNameServers(text).map(({ address }) => address)).toEqual(expected);
});
