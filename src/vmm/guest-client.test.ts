// The client against agents that lie, flood, fall silent and cut their lines short.
import { Duplex, duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { isFault } from '../lib/errors.ts';
import { GuestClient } from './guest-client.ts';

interface Question {
  id: number;
  call: string;
}
interface Agent {
  client: GuestClient;
  port: Duplex;
  asked: Question[];
  broken: string[];
  exits: unknown[];
  say(value: unknown): void;
}

function hostileAgent(): Agent {
  const [host, port] = duplexPair();
  const client = new GuestClient(host, undefined);
  const agent: Agent = {
    client,
    port,
    asked: [],
    broken: [],
    exits: [],
    say: (value) => void port.write(`${JSON.stringify(value)}\n`),
  };
  client.on('broken', (why) => agent.broken.push(why));
  void client.exited.then((exit) => agent.exits.push(exit));
  port.on('error', () => {});
  port.on('data', (bytes: Buffer) => {
    for (const line of bytes.toString().split('\n')) if (line) agent.asked.push(JSON.parse(line));
  });
  return agent;
}

const freshness = { machineId: '0'.repeat(32), bootId: 'x', hostname: 'h' };
const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => `resolved with ${JSON.stringify(value)}`,
    (error: unknown) => (isFault(error) ? `${error.code}: ${error.message}` : `not a fault: ${error}`),
  );

test('answers find their questions in any order, also when cut into bytes', async () => {
  const agent = hostileAgent();
  const answers = Promise.all([agent.client.listening(1), agent.client.hook(2, 'run', '{}', 1000)]);
  await turn();
  const text = `\n{"id":2,"ok":{"status":200}}\n{"id":1,"ok":{"listening":true}}\n`;
  for (const byte of Buffer.from(text)) agent.port.write(Buffer.of(byte));
  expect(await answers).toEqual([true, 200]);
});

test.each([
  ['nothing', '{"id":1}'],
  ['a string', '{"id":1,"ok":"yes"}'],
  ['a list', '{"id":1,"ok":[]}'],
  ['the wrong type', '{"id":1,"ok":{"listening":"true"}}'],
  ['a prototype', '{"id":1,"ok":{"__proto__":{"listening":true}}}'],
  ['lists as deep as a line can hold', `{"id":1,"ok":${'['.repeat(30_000)}${']'.repeat(30_000)}}`],
])('an answer that is none is a guest_failed: %s', async (_, line) => {
  const agent = hostileAgent();
  const asked = failure(agent.client.listening(8080));
  await turn();
  agent.port.write(`${line}\n`);
  expect(await asked).toBe('guest_failed: The guest answered listening with something else than its answer.');
  expect(({} as { listening?: unknown }).listening).toBeUndefined();
});

test.each([
  ['status', 'hook', { status: 1e308 }, (c: GuestClient) => c.hook(1, 'run', undefined, 1000)],
  ['status', 'hook', { status: 99 }, (c: GuestClient) => c.hook(1, 'run', undefined, 1000)],
  [
    'repaired',
    'freshen',
    { repaired: ['clock', 'rm -rf'] },
    (c: GuestClient) => c.freshen(freshness, 1n, Buffer.alloc(64), 1000),
  ],
  [
    'repaired',
    'freshen',
    { repaired: Array(17).fill('clock') },
    (c: GuestClient) => c.freshen(freshness, 1n, Buffer.alloc(64), 1000),
  ],
  ['kernel', 'hello', { agent: '1', kernel: 7 }, (c: GuestClient) => c.hello(1000)],
])('a %s out of bounds in the answer to %s', async (_, call, ok, ask) => {
  const agent = hostileAgent();
  const asked = failure(ask(agent.client));
  await turn();
  agent.say({ id: 1, ok });
  expect(await asked).toContain(`guest_failed: The guest answered ${call} with`);
});

test('what it says for people is cut and has no control characters', async () => {
  const agent = hostileAgent();
  const asked = failure(agent.client.listening(1));
  const hello = agent.client.hello(1000);
  await turn();
  agent.say({
    id: 1,
    error: { code: 'failed', message: `\u001b]0;owned\u0007line\r\n{"level":50}\u202e${'x'.repeat(3000)}` },
  });
  agent.say({ id: 2, ok: { agent: '1', kernel: `6.1\n\u001b[2J${'y'.repeat(500)}` } });
  const said = await asked;
  expect(said).toMatch(/^guest_failed: The guest answered failed: line \{"level":50\}\ufffdx+….$/);
  expect(said.length).toBeLessThan(600);
  expect((await hello).kernel).toMatch(/^6\.1 y+…$/);
});

test('unknown, early and repeated answers count for nothing', async () => {
  const agent = hostileAgent();
  agent.say({ id: 1, ok: { listening: true } });
  await turn();
  const asked = agent.client.listening(8080);
  await turn();
  agent.say({ id: 2, ok: { listening: true } });
  agent.say({ id: -1, ok: { listening: true } });
  agent.say({ id: 1.5, ok: { listening: true } });
  agent.say({ id: 1, ok: { listening: false } });
  agent.say({ id: 1, ok: { listening: true } });
  expect(await asked).toBe(false);
  expect(agent.broken).toEqual([]);
});

test('a client that takes over ends the line of its predecessor and takes no answer to its questions', async () => {
  const [host, port] = duplexPair();
  const heard: string[] = [];
  port.on('data', (bytes: Buffer) => heard.push(bytes.toString()));
  const client = new GuestClient(host, undefined, 2 ** 40);
  client.takeOver();
  const asked = client.listening(8080);
  const thawed = client.thaw(123n);
  await turn();
  expect(heard.join('').split('\n')).toEqual([
    '',
    '{"id":1099511627776,"call":"listening","port":8080}',
    '{"id":1099511627777,"call":"thaw","unixNs":"123"}',
    '',
  ]);
  port.write('rest of an answer"}}\n{"id":1,"ok":{"listening":true}}\n{"id":2,"ok":{}}\n');
  port.write('{"id":1099511627776,"ok":{"listening":false}}\n{"id":1099511627777,"ok":{}}\n');
  expect(await asked).toBe(false);
  await thawed;
});

test('the end of the application is told once, with values in bounds', async () => {
  const agent = hostileAgent();
  agent.say({ event: 'exited', exitCode: 70_000 });
  agent.say({ event: 'exited', signal: 'killed\n\u001b[31m' });
  agent.say({ event: 'exited', signal: 'killed' });
  for (let i = 0; i < 50; i++) agent.say({ event: 'exited', exitCode: 1 });
  await turn();
  expect(agent.exits).toEqual([{ signal: 'killed' }]);
});

test.each([
  ['empty lines', '\n'],
  ['empty objects', '{}\n'],
  ['answers to nothing', '{"id":99,"ok":{}}\n'],
  ['ends of the application', '{"event":"exited","exitCode":0}\n'],
  ['no JSON', 'aaaaaaaaaaaa\n'],
  ['nothing that is UTF-8', Buffer.from([0xff, 0xfe, 0x80, 10])],
])('a flood of %s ends the VM after little', async (_, line) => {
  const agent = hostileAgent();
  const asked = failure(agent.client.listening(8080));
  const chunk = Buffer.concat(Array(4096).fill(Buffer.from(line)));
  let sent = 0;
  while (agent.broken.length === 0 && sent < 8 << 20) {
    agent.port.write(chunk);
    sent += chunk.length;
    await turn();
  }
  expect(agent.broken).toEqual(['went on sending what nobody had asked for']);
  expect(sent).toBeLessThan(1 << 20);
  expect(await asked).toContain('nobody had asked for');
  expect(await failure(agent.client.listening(1))).toBe('guest_failed: The guest was gone before listening.');
});

test('a line without end is held up to its limit only', async () => {
  const agent = hostileAgent();
  const asked = failure(agent.client.listening(8080));
  for (let i = 0; i < 40 && agent.broken.length === 0; i++) {
    agent.port.write(Buffer.alloc(16 << 10, 0x20));
    await turn();
  }
  expect(agent.broken).toEqual(['sent a line of more than 65536 bytes']);
  expect(await asked).toContain('guest_failed');
});

test('silence has a deadline, and a late answer does no harm', async () => {
  vi.useFakeTimers();
  try {
    const agent = hostileAgent();
    const asked = [
      failure(agent.client.listening(1)),
      failure(agent.client.hook(1, 'run', undefined, 1000)),
      failure(agent.client.quiesce()),
      failure(agent.client.thaw()),
      failure(
        agent.client.start({ argv: [], environment: {}, workingDirectory: '/', user: '', allCapabilities: false }),
      ),
    ];
    await vi.advanceTimersByTimeAsync(60_000);
    for (const end of await Promise.all(asked)) expect(end).toMatch(/^deadline_exceeded/);
    agent.say({ id: 1, ok: { listening: true } });
    await vi.advanceTimersByTimeAsync(10);
    expect(agent.broken).toEqual([]);
  } finally {
    vi.useRealTimers();
  }
});

test('a guest that reads nothing is not given more and more', async () => {
  const deaf = new Duplex({ read() {}, write() {} });
  const client = new GuestClient(deaf, undefined);
  const asked = Array.from({ length: 12 }, () => failure(client.hook(1, 'run', 'x'.repeat(1 << 20), 60_000)));
  expect(deaf.writableLength).toBeLessThan(6 << 20);
  expect(await Promise.race(asked)).toBe('guest_failed: The guest does not read what it is asked.');
  client.close();
  for (const end of await Promise.all(asked)) expect(end).toMatch(/^guest_failed/);
});

const json = fc.oneof(
  fc.json(),
  fc
    .record({ id: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.double(), fc.string()), ok: fc.jsonValue() })
    .map((v) => JSON.stringify(v)),
  fc.record({ id: fc.integer({ min: 0, max: 4 }), error: fc.jsonValue() }).map((v) => JSON.stringify(v)),
  fc.record({ event: fc.constantFrom('exited', 'x'), exitCode: fc.jsonValue() }).map((v) => JSON.stringify(v)),
);
const bytes = fc.array(
  fc.oneof(
    json.map((text) => Buffer.from(`${text}\n`)),
    fc.uint8Array({ maxLength: 300 }).map((raw) => Buffer.from(raw)),
  ),
  { maxLength: 30 },
);

test('whatever bytes come, in whatever pieces, every question ends in its answer or a fault', async () => {
  await fc.assert(
    fc.asyncProperty(bytes, fc.integer({ min: 1, max: 200 }), async (said, piece) => {
      const agent = hostileAgent();
      const asked = [
        failure(agent.client.listening(8080)),
        failure(agent.client.hook(1, 'run', '', 1000)),
        failure(agent.client.freshen(freshness, 1n, Buffer.alloc(64), 1000)),
      ];
      const all = Buffer.concat(said);
      for (let at = 0; at < all.length; at += piece) agent.port.write(all.subarray(at, at + piece));
      await turn();
      agent.client.close();
      for (const end of await Promise.all(asked)) {
        expect(end).toMatch(/^(guest_failed|deadline_exceeded|resolved with)/);
        expect(end).not.toContain('not a fault');
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        expect(end).not.toMatch(/[\0-\u001f\u007f-\u009f]/);
      }
      expect(agent.exits.length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 300 },
  );
});
