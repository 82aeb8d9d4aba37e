// Bodies much larger than any buffer on their way, to and from a real VM: whole, and without the server growing.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { pattern } from '../../support/apps/clients/pattern.ts';
import type { Guest, Place } from '../../support/clients-place.ts';
import { type CurlOrder, curl } from '../../support/curl.ts';
import { watchMemory } from '../../support/memory-watch.ts';

const mib = 1 << 20;
/**
 * What the server may grow by, whatever the size. Seen: up to 20 MiB. The rest is room for garbage that is collected later on a machine
 * that is busy; a body of 256 MiB that is kept somewhere does not fit.
 */
const mostGrowthMib = 96;

const hash = () => createHash('blake2b512');

/** `sizeMib` each way over both versions, of a MicroVM that runs. */
export function transferTests(place: () => Place, guest: () => Guest, sizeMib: number, timeoutMs: number): void {
  const bytes = sizeMib * mib;
  let expected = '';
  const expectedHash = (): string => {
    if (expected) return expected;
    const known = hash();
    for (const piece of pattern(bytes)) known.update(piece);
    expected = known.digest('hex');
    return expected;
  };
  const watched = async (title: string, path: string, order: CurlOrder) => {
    const pid = place().server.facts.pid;
    // What any first transfer takes is not growth.
    await curl(place(), guest(), '/pattern?8000000', { args: order.args ?? [], onPiece: () => {} });
    const watch = await watchMemory(pid);
    const started = performance.now();
    const answer = await curl(place(), guest(), path, { ...order, timeoutMs });
    const growth = await watch.end();
    const seconds = (performance.now() - started) / 1000;
    const rate = `${(sizeMib / seconds).toFixed(1)} MiB/s`;
    console.log(
      `${title}: ${sizeMib} MiB in ${seconds.toFixed(1)} s, ${rate}; server ${Math.round(watch.before)} MiB + ${Math.round(growth)} MiB`,
    );
    expect(answer).toMatchObject({ exitCode: 0, status: 200 });
    expect(growth).toBeLessThan(mostGrowthMib);
    return answer;
  };

  test.each(['--http1.1', '--http2'])(`%s: ${sizeMib} MiB up`, { timeout: timeoutMs }, async (version) => {
    const { body } = await watched(`up ${version}`, '/hash', { args: [version], body: pattern(bytes) });
    expect(JSON.parse(body)).toEqual({ bytes, hash: expectedHash() });
  });

  test.each(['--http1.1', '--http2'])(`%s: ${sizeMib} MiB down`, { timeout: timeoutMs }, async (version) => {
    const got = hash();
    let count = 0;
    const onPiece = (piece: Buffer): void => {
      got.update(piece);
      count += piece.length;
    };
    await watched(`down ${version}`, `/pattern?${bytes}`, { args: [version], onPiece });
    expect({ count, hash: got.digest('hex') }).toEqual({ count: bytes, hash: expectedHash() });
  });
}
