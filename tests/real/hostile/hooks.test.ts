// Lifecycle hooks answered by an application that means harm. The host reads nothing of such an answer but its status.
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { within } from '../../../src/lib/deadline.ts';
import { type HostileHost, startHostileHost } from '../../support/hostile/rig.ts';

const hooks = { port: 9000, runSeconds: 3, resumeSeconds: 3, suspendSeconds: 3, terminateSeconds: 3 };
const doneMs = 60_000;

let host: HostileHost;
let buildId: string;
let rssBefore: number;
beforeAll(async () => {
  host = await startHostileHost();
  buildId = await host.build({ hooks });
  rssBefore = process.memoryUsage().rss;
});
afterAll(() => host?.[Symbol.asyncDispose]());

const launch = (name: string, mode: Record<string, string>) =>
  within(doneMs, 'The launch', host.launch(name, buildId, JSON.stringify(mode)));
const ids = (): string[] => host.real.node.list().map(({ microvmId }) => microvmId);

test.each([
  ['no HTTP at all', 'garbage', /not HTTP/],
  ['no answer', 'silence', /timed out after 3 seconds/],
  ['a status line without end', 'status', /not HTTP|could not be called|timed out/],
  ['interim answers without end', 'interim', /not HTTP|could not be called|timed out/],
  ['a redirect', 'redirect', /returned HTTP status 302/],
] as const)('the launch hook answers with %s: a clear reason, and nothing is left', async (_, mode, reason) => {
  const launched = launch(`run-${mode}`, { run: mode });
  await expect(launched).rejects.toMatchObject({ code: 'hook_failed', message: expect.stringMatching(reason) });
  expect(ids()).toEqual([]);
});

test('a redirect to a service of the host is not followed', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.end();
  });
  // The redirect names this port; when something else has it, that is asked, or not, in our place.
  await new Promise<void>((done) => void server.once('error', () => done()).listen(9100, '127.0.0.1', done));
  await expect(launch('run-again', { run: 'redirect' })).rejects.toMatchObject({ code: 'hook_failed' });
  expect(asked).toBe(0);
  server.close();
});

test.each(['headers', 'body', 'chunks', 'chunk-size', 'lengths', 'extra', 'split', 'drip'])(
  'the launch hook says 200 and then %s: the status counts, the rest is never read',
  async (mode) => {
    const guest = await launch(`then-${mode}`, { run: mode });
    expect(await guest.ping()).toBeGreaterThan(0);
    await host.end(guest);
    expect(ids()).toEqual([]);
  },
);

test.each(['garbage', 'silence', 'status'])('the suspend hook answers with %s: it runs on', async (mode) => {
  const guest = await launch(`sleep-${mode}`, { suspend: mode });
  const suspended = within(doneMs, 'The suspend', host.real.node.suspend(guest.id));
  await expect(suspended).rejects.toMatchObject({ code: 'hook_failed' });
  expect(host.real.node.list()).toMatchObject([{ microvmId: guest.id, buildId, state: 'running' }]);
  expect(await guest.ping()).toBeGreaterThan(0);
  await host.end(guest);
});

test.each(['garbage', 'silence'])('the resume hook answers with %s: its snapshot stays good', async (mode) => {
  const guest = await launch(`wake-${mode}`, { resume: mode });
  await host.real.node.suspend(guest.id);
  const resumed = within(doneMs, 'The wake', host.real.node.resume(guest.id));
  await expect(resumed).rejects.toMatchObject({ code: 'hook_failed' });
  expect(host.real.node.list()).toMatchObject([{ microvmId: guest.id, buildId, state: 'asleep' }]);
  await host.end(guest);
  expect(ids()).toEqual([]);
});

test.each(['garbage', 'silence', 'body'])('the terminate hook answers with %s: it ends all the same', async (mode) => {
  const guest = await launch(`end-${mode}`, { terminate: mode });
  await within(doneMs, 'The end', host.end(guest));
  expect(ids()).toEqual([]);
});

test('the host has not grown by any of these answers', () => {
  expect(process.memoryUsage().rss - rssBefore).toBeLessThan(300 << 20);
});
