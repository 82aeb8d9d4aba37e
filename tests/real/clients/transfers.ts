// Bodies much larger than any buffer on their way, to and from a real VM: whole, and without the server growing.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { pause } from '../../../src/lib/deadline.ts';
import { pattern } from '../../support/apps/clients/pattern.ts';
import type { Guest, Place } from '../../support/clients-place.ts';
import { type CurlOrder, curl } from '../../support/curl.ts';
import { residentMib, watchMemory } from '../../support/memory-watch.ts';

const mib = 1 << 20;
/**
 * What the server may grow by over all transfers, whatever their size. Seen: 45 to 125 MiB, reached with the first transfers and kept: the
 * heaps of its threads have grown to what this work needs. A body of 256 MiB that is kept somewhere does not fit.
 */
const mostGrowthMib = 192;
/** What may be on its way to a client that does not read, most of it in the kernel's buffers of four connections. Seen: 16 to 24 MiB. */
const mostUnderWay = 64 * mib;

const newHash = () => createHash('blake2b512');

/** `sizeMib` each way over both versions, of a MicroVM that runs. */
export function transferTests(place: () => Place, guest: () => Guest, sizeMib: number, timeoutMs: number): void {
  const bytes = sizeMib * mib;
  const versions = ['--http1.1', '--http2'];
  /** Of the server, before the first transfer. */
  let levelMib: number | undefined;

  const watched = async (title: string, path: string, order: CurlOrder): Promise<string> => {
    const { pid } = place().server.facts;
    levelMib ??= await residentMib(pid);
    const memory = watchMemory(pid);
    const started = performance.now();
    const answer = await curl(place(), guest(), path, { ...order, timeoutMs });
    const seconds = (performance.now() - started) / 1_000;
    const growth = (await memory.end()) - levelMib;
    const rate = `${seconds.toFixed(1)} s, ${(sizeMib / seconds).toFixed(1)} MiB/s`;
    console.log(`${sizeMib} MiB ${title}: ${rate}; server: ${Math.round(levelMib)} + ${Math.round(growth)} MiB`);
    expect(answer).toMatchObject({ exitCode: 0, status: 200 });
    expect(growth).toBeLessThan(mostGrowthMib);
    return answer.body;
  };

  /** Resolves with the bytes that the application could send to a client that does not read: when they become no more. */
  const untilStopped = async (): Promise<number> => {
    for (let before = -1; ; ) {
      await pause(1_000);
      const sent = Number((await curl(place(), guest(), '/sent')).body);
      if (sent > 0 && sent === before) return sent;
      before = sent;
    }
  };

  test.each(versions)(`${sizeMib} MiB up, %s`, { timeout: timeoutMs }, async (version) => {
    const hash = newHash();
    const body = pattern(bytes, (piece) => hash.update(piece));
    const answer = await watched(`up ${version}`, '/hash', { args: [version], body });
    expect(JSON.parse(answer)).toEqual({ bytes, hash: hash.digest('hex') });
  });

  test.each(versions)(
    `${sizeMib} MiB down, %s, to a client that waits at first`,
    { timeout: timeoutMs },
    async (version) => {
      const [hash, known] = [newHash(), newHash()];
      let count = 0;
      const onPiece = (piece: Buffer): void => {
        hash.update(piece);
        count += piece.length;
      };
      const hold = untilStopped();
      await watched(`down ${version}`, `/pattern?${bytes}`, { args: [version], onPiece, hold });
      expect(await hold).toBeLessThan(mostUnderWay);
      for (const piece of pattern(bytes)) known.update(piece);
      expect({ count, hash: hash.digest('hex') }).toEqual({ count: bytes, hash: known.digest('hex') });
    },
  );
}
