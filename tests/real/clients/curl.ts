// curl over both versions, to applications of every kind in a real VM.
import { expect, test } from 'vitest';
import { pattern } from '../../support/apps/clients/pattern.ts';
import { type Guest, type Place, ports } from '../../support/clients-place.ts';
import { type CurlOrder, curl } from '../../support/curl.ts';
import { poll } from '../../support/server.ts';

const versions = [
  ['--http1.1', '1.1'],
  ['--http2', '2'],
] as const;

/** Of a MicroVM that runs. */
export function curlTests(place: () => Place, guest: () => Guest): void {
  const ask = (path: string, order?: CurlOrder) => curl(place(), guest(), path, order);
  const left = async (): Promise<string[]> => JSON.parse((await ask('/left')).body).left;
  const forceHttp2 = ['-H', 'X-aws-proxy-force-h2: true'];

  test.each(versions)(
    '%s to applications over HTTP/1.1, over HTTP/2 without TLS, and behind TLS',
    async (v, version) => {
      const kinds = [
        { port: ports.http, args: [v], seen: { version: '1.1', secure: false } },
        { port: ports.http2, args: [v, ...forceHttp2], seen: { version: '2.0', secure: false } },
        { port: ports.tls, args: [v], seen: { version: '2.0', secure: true } },
      ];
      for (const { port, args, seen } of kinds) {
        const answer = await ask('/version', { port, args });
        expect(answer).toMatchObject({ exitCode: 0, status: 200, version });
        expect(JSON.parse(answer.body)).toEqual(seen);
      }
    },
  );

  test.each(versions)('%s to an application of the other version: 502 with its reason', async (v) => {
    const force = await ask('/version', { port: ports.http, args: [v, ...forceHttp2] });
    expect(force).toMatchObject({ status: 502, body: '', reason: 'application_unreachable' });
    const plain = await ask('/version', { port: ports.http2, args: [v] });
    expect(plain).toMatchObject({ status: 502, body: '', reason: 'application_failed' });
  });

  test.each(versions)('%s with `Expect: 100-continue`: the body goes when it is asked for', async (v, version) => {
    // Longer than the test: without `100` there would be no body.
    const args = [v, '-i', '-H', 'Expect: 100-continue', '--expect100-timeout', '300'];
    const taken = await ask('/hash', { args, body: pattern(3_000_000) });
    expect(taken).toMatchObject({ exitCode: 0, status: 200 });
    expect(taken.body).toMatch(/^HTTP\/[\d.]+ 100.*\r\n\r\nHTTP\/[\d.]+ 200/s);
    expect(taken.body).toContain('"bytes":3000000');
    const stranger = { ...guest(), token: 'none' };
    const refused = await curl(place(), stranger, '/hash', { args, body: pattern(3_000_000) });
    expect(refused).toMatchObject({ status: 403, body: expect.not.stringMatching(/ 100/) });
    // Over HTTP/2 it fills the window after a refusal.
    if (version === '1.1') expect(refused.bytesUp).toBe(0);
  });

  test.each(versions)('%s and server-sent events: each is there before the next is made', async (v) => {
    let heard = '';
    const onPiece = (piece: Buffer): void => {
      heard += piece;
    };
    const events = ask('/events', { args: [v], onPiece });
    for (const name of ['first', 'second', 'last']) {
      if (name !== 'first') await ask(`/event?${name}`);
      await poll(`the ${name} event`, async () => heard.includes(`data: ${name}\n\n`) || undefined);
    }
    expect(heard).toBe('data: first\n\ndata: second\n\ndata: last\n\n');
    expect(await events).toMatchObject({ exitCode: 0, status: 200 });
  });

  test.each(versions)('%s that is killed: the application sees that its client has left', async (v) => {
    const leaving = new AbortController();
    const query = `${v}-${crypto.randomUUID()}`;
    const hanging = ask(`/hang?${query}`, { args: [v], signal: leaving.signal });
    await poll('the request', async () => (await left()).includes(`${query} came`) || undefined);
    leaving.abort();
    expect(await hanging).toMatchObject({ exitCode: null, status: 0 });
    await poll('the end of the request', async () => (await left()).includes(`${query} left`) || undefined);
  });

  test.each(versions)('%s sees an answer that the application broke off as broken', async (v) => {
    for (const [port, more] of [
      [ports.http, []],
      [ports.http2, forceHttp2],
    ] as const) {
      const answer = await ask('/break', { port, args: [v, ...more] });
      expect(answer).toMatchObject({ status: 200, body: 'x'.repeat(1_000) });
      // Partial file, failure in receiving, HTTP/2 stream error.
      expect([18, 56, 92]).toContain(answer.exitCode);
    }
  });
}
