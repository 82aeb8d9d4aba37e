// The WebSocket of a browser, which can send no headers: Debian's Chromium without a window.
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Guest, Place } from '../../support/clients-place.ts';
import { poll } from '../../support/server.ts';

/** What the page sees of one WebSocket. */
interface Seen {
  opened: boolean;
  protocol: string;
  heard: (string | number[])[];
  closed: { code: number; reason: string; clean: boolean };
}

interface Conversation {
  url: string;
  protocols: string[];
  words: (string | number[])[];
}

/** Runs in the page: sends each of `words` when the one before was answered, and resolves when the socket is closed. */
function converse({ url, protocols, words }: Conversation): Promise<Seen> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.binaryType = 'arraybuffer';
    const seen: Seen = { opened: false, protocol: '', heard: [], closed: { code: 0, reason: '', clean: false } };
    socket.onopen = () => {
      seen.opened = true;
      seen.protocol = socket.protocol;
    };
    socket.onmessage = ({ data }) => {
      seen.heard.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
      const next = words.shift();
      if (next !== undefined) socket.send(typeof next === 'string' ? next : new Uint8Array(next));
    };
    socket.onclose = ({ code, reason, wasClean: clean }) => resolve({ ...seen, closed: { code, reason, clean } });
  });
}

/** Base64 of the SHA-256 of the public key that the endpoint shows. */
async function keyOf({ host, port }: Guest, ca: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, servername: host, ca });
  await once(socket, 'secureConnect');
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  const key = new X509Certificate(raw).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

/** Of a MicroVM that runs. */
export function browserTests(place: () => Place, guest: () => Guest): void {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    const trusted = await keyOf(guest(), place().server.ca);
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      timeout: 60_000,
      args: ['--disable-gpu', '--disable-quic', `--ignore-certificate-errors-spki-list=${trusted}`],
    });
    page = await browser.newPage();
  });
  afterAll(() => browser?.close());

  const platform = (token = guest().token) => [
    'lambda-microvms',
    `lambda-microvms.authentication.${token}`,
    'lambda-microvms.port.8080',
  ];
  const talk = (protocols: string[], words: (string | number[])[], on = page): Promise<Seen> =>
    on.evaluate<Seen, Conversation>(converse, { url: `wss://${guest().endpoint}/socket`, protocols, words });
  const bytes = Array.from({ length: 70_000 }, (_, i) => i % 256);
  const agreed = { code: 4321, reason: 'as you wish', clean: true };

  test('a token as a subprotocol opens it; text, bytes and the application’s own close code pass', async () => {
    const { heard, ...seen } = await talk(platform(), ['hello, wörld', bytes, 'close']);
    expect(seen).toEqual({ opened: true, protocol: 'lambda-microvms', closed: agreed });
    expect(JSON.parse(String(heard[0]))).toMatchObject({ offered: '' });
    expect(heard.slice(1)).toEqual(['hello, wörld', bytes]);
  });

  test('from a page of the endpoint it shares the connection of HTTP/2 that brought the page', async () => {
    const switched = async (): Promise<string[]> => {
      const lines = await place().accessLog();
      return lines.flatMap(({ microvmId, end, protocol }) =>
        microvmId === guest().id && end === 'switched' ? protocol : [],
      );
    };
    await poll('the line of the one before', async () => (await switched()).length === 1 || undefined);
    // Whether it shares is the browser's choice; on a busy machine it does not always do so.
    for (let tries = 1; (await switched()).at(-1) !== 'HTTP/2' && tries < 5; tries++) {
      const own = await browser.newPage({ extraHTTPHeaders: { 'x-aws-proxy-auth': guest().token } });
      expect((await own.goto(`https://${guest().endpoint}/`))?.status()).toBe(200);
      const { heard, ...seen } = await talk(platform(), [bytes, 'close'], own);
      await own.close();
      expect(seen).toEqual({ opened: true, protocol: 'lambda-microvms', closed: agreed });
      expect(heard.at(-1)).toEqual(bytes);
      await poll('its line', async () => (await switched()).length === 1 + tries || undefined);
    }
    expect((await switched()).at(-1)).toBe('HTTP/2');
  });

  test('a subprotocol of the application’s own is agreed on', async () => {
    const { heard, protocol } = await talk([...platform(), 'chat'], ['close']);
    expect(protocol).toBe('chat');
    expect(JSON.parse(String(heard[0]))).toMatchObject({ offered: 'chat' });
  });

  test('without a good token it never opens', async () => {
    const closed = { code: 1006, reason: '', clean: false };
    expect(await talk(platform('no.token.at.all.x'), [])).toMatchObject({ opened: false, closed });
    expect(await talk([], [])).toMatchObject({ opened: false, closed });
  });

  test('it wakes a MicroVM that sleeps, which remembers', async () => {
    const { wakes } = (await place().report(guest())).traffic;
    await place().suspend(guest());
    const { heard, closed } = await talk(platform(), ['close']);
    expect(JSON.parse(String(heard[0])).heard).toBeGreaterThan(0);
    expect(closed).toEqual(agreed);
    expect((await place().report(guest())).traffic.wakes).toBe(wakes + 1);
  });
}
