// Reads a stream that a stranger fills, but not faster than a rate: a guest that floods its console must not keep the server busy.
import type { Readable } from 'node:stream';

const windowMs = 100;

/** Calls `onChunk` for what comes, about `bytesPerSecond` at most; beyond that the stream is left to wait. Errors of the stream are ignored. */
export function readPaced(stream: Readable, bytesPerSecond: number, onChunk: (chunk: Buffer) => void): void {
  const budget = (bytesPerSecond * windowMs) / 1000;
  let used = 0;
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    // The first bytes open a window; a quiet stream has no timer.
    if (used === 0)
      setTimeout(() => {
        used = 0;
        stream.resume();
      }, windowMs).unref();
    used += chunk.length;
    if (used >= budget) stream.pause();
    onChunk(chunk);
  });
}
