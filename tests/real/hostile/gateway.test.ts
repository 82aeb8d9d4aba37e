// Answers to requests that no honest application gives, through the gateway: its clients see an error or exactly what was sent, and the neighbour is served.
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { within } from '../../../src/lib/deadline.ts';
import { projectZip } from '../../support/real-node.ts';
import { startTestServer, type TestServer, type Token } from '../../support/server.ts';

interface Guest {
  endpoint: string;
  token: Token;
}
/** Status 0: there was no answer. */
interface Seen {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  bytes: number;
  /** Why it broke off, if it did. */
  broken: string | undefined;
}

const doneMs = 90_000;
const enoughBytes = 20 << 20;
let it: TestServer;
let ca: string;
let attacker: Guest;
let neighbour: Guest;
let rssBefore: number;

beforeAll(async () => {
  it = await startTestServer();
  ca = await readFile(it.server.caFile, 'utf8');
  const { imageArn, state } = await it.build('hostile', await projectZip('hostile'));
  expect(state).toBe('SUCCESSFUL');
  attacker = await it.run(imageArn);
  neighbour = await it.run(imageArn);
  for (const guest of [attacker, neighbour])
    expect((await it.get(guest.endpoint, guest.token, '/ping')).status).toBe(200);
  rssBefore = process.memoryUsage().rss;
});
afterAll(() => it?.close());

/** One request to the attacker; leaves after `enoughBytes`. */
function provoke(kind: string, leaveAfterMs = 30_000): Promise<Seen> {
  const seen: Seen = { status: 0, headers: {}, body: '', bytes: 0, broken: undefined };
  const answer = new Promise<Seen>((resolve) => {
    const options = { ca, headers: attacker.token, agent: false };
    const outgoing = request(`https://${attacker.endpoint}/bomb/${kind}`, options, (response) => {
      seen.status = response.statusCode ?? 0;
      seen.headers = response.headers;
      response.on('data', (chunk: Buffer) => {
        seen.bytes += chunk.length;
        if (seen.body.length < 4096) seen.body += chunk.toString('latin1');
        if (seen.bytes > enoughBytes) leave('enough');
      });
      response.on('end', () => resolve(seen));
      response.on('error', (error) => leave(error.message));
    });
    const leave = (why: string): void => {
      seen.broken ??= why;
      outgoing.destroy();
      resolve(seen);
    };
    const timer = setTimeout(() => leave('left'), leaveAfterMs);
    outgoing.on('error', (error) => leave(error.message));
    outgoing.on('close', () => clearTimeout(timer));
    outgoing.end();
  });
  return within(doneMs, `The answer to ${kind}`, answer);
}

async function expectServed(): Promise<void> {
  for (const guest of [neighbour, attacker]) {
    const answer = await it.get(guest.endpoint, guest.token, '/ping');
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toHaveProperty('alive');
  }
}

test('the honest answer comes through, so that the others can be told from it', async () => {
  expect(await provoke('honest')).toMatchObject({ status: 200, body: 'ok' });
});

test.each(['garbage', 'status', 'headers'])('%s in place of an HTTP answer: 502', async (kind) => {
  const seen = await provoke(kind);
  expect(seen.status).toBe(502);
  expect(seen.body).not.toContain('not http');
  await expectServed();
});

test('interim answers without end: the client sees none of them, and can leave', async () => {
  const seen = await provoke('interim', 5000);
  expect([0, 502]).toContain(seen.status);
  await expectServed();
});

test.each(['chunk-size', 'lengths', 'split'])(
  '%s that disagree with themselves: nothing of them is passed on',
  async (kind) => {
    const seen = await provoke(kind);
    expect(seen.headers['set-cookie']).toBeUndefined();
    expect(seen.status === 502 || seen.broken !== undefined || seen.body === 'ok').toBe(true);
    await expectServed();
  },
);

test('a second answer on the same connection is never given to the next request', async () => {
  const bodies: string[] = [];
  for (let i = 0; i < 6; i++) {
    bodies.push((await provoke('extra')).body);
    bodies.push((await it.get(attacker.endpoint, attacker.token, '/ping')).body);
    bodies.push((await it.get(neighbour.endpoint, neighbour.token, '/ping')).body);
  }
  expect(bodies.filter((body) => body.includes('stolen'))).toEqual([]);
});

test.each(['body', 'chunks'])('%s without end: a client takes what it likes, and leaves', async (kind) => {
  const seen = await provoke(kind, 10_000);
  expect(seen).toMatchObject({ status: 200, broken: expect.stringMatching(/enough|left|aborted/) });
  await expectServed();
});

test('clients that stop reading an endless answer cost no memory', async () => {
  const before = process.memoryUsage().rss;
  const stalled = await Promise.all(
    Array.from({ length: 5 }, () => {
      const outgoing = request(`https://${attacker.endpoint}/bomb/body`, { ca, headers: attacker.token, agent: false });
      return new Promise<typeof outgoing>((resolve, reject) => {
        // Paused from the start: nothing is ever read.
        outgoing.on('response', (response) => {
          response.pause();
          resolve(outgoing);
        });
        outgoing.on('error', reject);
        outgoing.end();
      });
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, 3000));
  for (const outgoing of stalled) outgoing.on('error', () => {}).destroy();
  expect(process.memoryUsage().rss - before).toBeLessThan(150 << 20);
  await expectServed();
});

test('silence and drops: a hundred requests that get nothing, and all clients leave', async () => {
  const seen = await Promise.all([
    ...Array.from({ length: 50 }, () => provoke('silence', 2000)),
    ...Array.from({ length: 50 }, () => provoke('drip', 2000)),
  ]);
  expect(seen.filter(({ status }) => status !== 0 && status !== 200 && status < 400)).toEqual([]);
  await expectServed();
});

test('a redirect goes to the client and is not followed', async () => {
  expect(await provoke('redirect')).toMatchObject({ status: 302, headers: { location: 'http://127.0.0.1:9100/' } });
});

test('the server has not grown by any of this', () => {
  expect(process.memoryUsage().rss - rssBefore).toBeLessThan(400 << 20);
});
