// Many at once at the door of those that sleep: one wake for each, and every request is answered with its MicroVM's own state.
import { connect } from 'node:http2';
import { Agent, get } from 'node:https';
import { expect, test } from 'vitest';
import type { Guest, Place, Report } from '../../support/clients-place.ts';

const perVersion = 250;
const sessions = 5;
const sleepers = 20;

interface State {
  count: number;
  note: string;
}

const parsed = (status: number | undefined, body: string): State => {
  expect([status, body]).toEqual([200, expect.stringMatching(/^\{/)]);
  return JSON.parse(body);
};

function overHttp1(place: Place, guest: Guest, agent: Agent, path = '/'): Promise<State> {
  return new Promise((resolve, reject) => {
    const options = { agent, ca: place.server.ca, headers: { 'x-aws-proxy-auth': guest.token } };
    const request = get(`https://${guest.endpoint}${path}`, options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve(parsed(response.statusCode, body)));
    });
    request.on('error', reject);
  });
}

type Ask = () => Promise<State>;

/** `ask` over the streams of one connection. */
function http2Session(place: Place, guest: Guest) {
  const session = connect(`https://${guest.endpoint}`, { ca: place.server.ca });
  session.on('error', () => {});
  const ask: Ask = () =>
    new Promise((resolve, reject) => {
      const stream = session.request({ 'x-aws-proxy-auth': guest.token });
      let [status, body]: [number | undefined, string] = [undefined, ''];
      stream.on('response', (headers) => {
        status = headers[':status'];
      });
      stream.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      stream.on('error', reject);
      stream.on('end', () => resolve(parsed(status, body)));
    });
  return { session, ask };
}

/** Milliseconds by stage, a line for each stage of the wakes: the middle one and the last one. */
function table(reports: readonly Report[]): string {
  const stages = Object.keys(reports[0]?.wake ?? {});
  const lines = stages.map((stage) => {
    const times = reports.map(({ wake }) => wake[stage] ?? 0).sort((a, b) => a - b);
    const cells = [times[0], times[times.length >> 1], times.at(-1)].map((ms = 0) => ms.toFixed(1).padStart(10));
    return `${stage.padStart(10)}${cells.join('')}`;
  });
  return [
    `${'ms'.padStart(10)}${['least', 'median', 'most'].map((name) => name.padStart(10)).join('')}`,
    ...lines,
  ].join('\n');
}

export function wakeTests(place: () => Place): void {
  test(`${2 * perVersion} requests at once to one that sleeps: one wake, all answered`, async () => {
    const guest = await place().launch();
    const agent = new Agent({ keepAlive: true, maxSockets: perVersion });
    const http2 = Array.from({ length: sessions }, () => http2Session(place(), guest));
    try {
      const asks: Ask[] = [
        ...Array.from({ length: perVersion }, (): Ask => () => overHttp1(place(), guest, agent)),
        ...http2.flatMap(({ ask }) => Array.from({ length: perVersion / sessions }, () => ask)),
      ];
      // All connections are there before it falls asleep, so that the requests come at the same moment.
      const first = await Promise.all(asks.map((ask) => ask()));
      const before = Math.max(...first.map(({ count }) => count));
      await place().suspend(guest);
      const started = performance.now();
      const states = await Promise.all(asks.map((ask) => ask()));
      const ms = Math.round(performance.now() - started);
      expect(states.map(({ count }) => count).sort((a, b) => a - b)).toEqual(asks.map((_, i) => before + 1 + i));
      const { traffic } = await place().report(guest);
      console.log(
        `${asks.length} requests: ${traffic.heldRequests} held, for ${Math.round(traffic.heldMs)} ms each; all answered after ${ms} ms`,
      );
      expect(traffic.wakes).toBe(1);
      expect(traffic.heldRequests).toBeGreaterThan(1);
    } finally {
      agent.destroy();
      for (const { session } of http2) session.destroy();
      await place().terminate(guest);
    }
  });

  test(`${sleepers} that sleep are woken at once, each with its own state`, async () => {
    const agent = new Agent({ maxCachedSessions: 0 });
    const guests: Guest[] = [];
    try {
      for (let i = 0; i < sleepers; i++) {
        const guest = await place().launch();
        guests.push(guest);
        expect(await overHttp1(place(), guest, agent, `/note?${guest.id}`)).toMatchObject({ note: guest.id });
        await place().suspend(guest);
      }
      const started = performance.now();
      const states = await Promise.all(guests.map((guest) => overHttp1(place(), guest, agent)));
      const ms = Math.round(performance.now() - started);
      expect(states).toEqual(guests.map(({ id }) => ({ count: 1, note: id })));
      const reports = await Promise.all(guests.map((guest) => place().report(guest)));
      console.log(`${sleepers} wakes at once: all answered after ${ms} ms\n${table(reports)}`);
      for (const { traffic } of reports) expect(traffic.wakes).toBe(1);
    } finally {
      agent.destroy();
      await place().terminate(...guests);
    }
  });
}
