// gRPC: a client of grpc-js here, a server of grpc-js in a real VM.
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Guest, type Place, ports } from '../../support/clients-place.ts';
import { curl } from '../../support/curl.ts';
import { EchoClient } from '../../support/echo-client.ts';
import { poll } from '../../support/server.ts';

/** Of a MicroVM that runs. */
export function grpcTests(place: () => Place, guest: () => Guest): void {
  const client = (metadata: Record<string, string>): EchoClient => {
    const { endpoint: address, host, token } = guest();
    const { ca } = place().server;
    const platform = { 'x-aws-proxy-auth': token, 'x-aws-proxy-port': `${ports.grpc}`, 'x-aws-proxy-force-h2': 'true' };
    return new EchoClient({ address, host, ca, metadata: { ...platform, ...metadata } });
  };
  const cancelled = async (): Promise<number> => JSON.parse((await curl(place(), guest(), '/left')).body).cancelled;
  const oneMore = async (than: number): Promise<void> =>
    void (await poll('the cancellation at the server', async () => (await cancelled()) === than + 1 || undefined));

  let echo: EchoClient;
  beforeAll(() => {
    echo = client({});
  });
  afterAll(() => echo?.close());

  test('unary: the answer and its trailers; an error in trailers only; a large message', async () => {
    const { error, value, trailer } = await echo.unary('hello');
    expect([error, value]).toEqual([null, 'hello!']);
    expect(trailer?.get('x-trailer')).toEqual(['end']);
    expect(trailer?.get('x-bytes-bin')).toEqual([Buffer.from([0, 255])]);
    expect((await echo.unary('fail')).error).toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: 'as you wish',
    });
    const large = 'x'.repeat(3 << 20);
    expect((await echo.unary(large, 60_000)).value?.length).toBe(large.length + 1);
  });

  test('a stream of the client, and an answer in the middle of one', async () => {
    expect(await echo.gather(['a', 'b', 'c'])).toEqual({ error: null, value: 'a,b,c' });
    expect((await echo.gather(['a', 'stop'])).error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect((await echo.unary('after')).value).toBe('after!');
  });

  test('a stream of the server', async () => {
    let count = 0;
    for await (const part of echo.scatter(500)) expect(part).toBe(`${count++}`.repeat(1_000));
    expect(count).toBe(500);
  });

  test('streams both ways, word by word', async () => {
    const call = echo.talk();
    const ended = new Promise((resolve) => call.on('status', resolve));
    const heard: string[] = [];
    call.on('data', (part: string) => heard.push(part));
    for (const word of ['one', 'two', 'three']) {
      const before = heard.length;
      call.write(word);
      await poll(`the answer to ${word}`, async () => heard.length > before || undefined);
    }
    call.end();
    expect(await ended).toMatchObject({ code: status.OK });
    expect(heard).toEqual(['ONE', 'TWO', 'THREE']);
  });

  test('a deadline and a cancellation of the client reach the server', async () => {
    const before = await cancelled();
    expect((await echo.unary('hang', 1_000)).error?.code).toBe(status.DEADLINE_EXCEEDED);
    await oneMore(before);
    const call = echo.talk();
    call.on('error', () => {});
    call.write('x');
    await new Promise((resolve) => call.once('data', resolve));
    call.cancel();
    await oneMore(before + 1);
  });

  test('a call wakes the MicroVM; refusals have the status that gRPC makes of them', async () => {
    const { wakes } = (await place().report(guest())).traffic;
    await place().suspend(guest());
    expect((await echo.unary('again', 60_000)).value).toBe('again!');
    expect((await place().report(guest())).traffic.wakes).toBe(wakes + 1);
    const stranger = client({ 'x-aws-proxy-auth': 'none' });
    expect((await stranger.unary('x')).error?.code).toBe(status.PERMISSION_DENIED);
    stranger.close();
  });
}
