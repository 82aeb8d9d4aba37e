// A byte stream to an application that keeps to the bandwidth of its MicroVM. Bytes over it are held back, a piece in each direction at most,
// and nothing more is read or taken meanwhile: who sends too fast feels it as latency, and nothing piles up here.
import { Duplex } from 'node:stream';
import type { Limiter } from '../contract/limiter.ts';
import type { Clock, Timer } from '../lib/clock.ts';

const bufferBytes = 64 * 1024;
/** Shorter waits are added to the next one: timers know no fractions. */
const shortestWaitMs = 1;

type Done = (error?: Error | null) => void;

export class MeteredStream extends Duplex {
  /** What has passed, as a socket counts it; what is held back has not. */
  bytesRead = 0;
  bytesWritten = 0;
  readonly #inner: Duplex;
  readonly #limiter: Limiter;
  readonly #clock: Pick<Clock, 'after'>;
  #reading: Timer | undefined;
  #ended = false;
  #writing: Timer | undefined;

  constructor(inner: Duplex, limiter: Limiter, clock: Pick<Clock, 'after'>) {
    super({ readableHighWaterMark: bufferBytes, writableHighWaterMark: bufferBytes });
    this.#inner = inner;
    this.#limiter = limiter;
    this.#clock = clock;
    // As with the stream itself, somebody may listen too late.
    this.on('error', () => {});
    inner.on('data', (chunk: Buffer) => this.#came(chunk));
    inner.on('end', () => {
      this.#ended = true;
      if (!this.#reading) this.push(null);
    });
    inner.on('error', (error) => this.destroy(error));
    inner.on('close', () => {
      // After an end in peace of both directions, what is still buffered here is to be read.
      if (!inner.readableEnded || !inner.writableFinished) this.destroy();
    });
    inner.pause();
  }

  override _read(): void {
    if (!this.#reading) this.#inner.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#writeLater(chunk.length, () => this.#inner.write(chunk, done));
  }

  override _writev(parts: { chunk: Buffer }[], done: Done): void {
    const length = parts.reduce((sum, { chunk }) => sum + chunk.length, 0);
    this.#writeLater(length, () => {
      this.#inner.cork();
      for (const [i, { chunk }] of parts.entries()) this.#inner.write(chunk, i === parts.length - 1 ? done : undefined);
      this.#inner.uncork();
    });
  }

  override _final(done: Done): void {
    this.#inner.end(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#reading?.cancel();
    this.#writing?.cancel();
    this.#inner.destroy(error ?? undefined);
    done(error);
  }

  #came(chunk: Buffer): void {
    const waitMs = this.#limiter.bytes(chunk.length);
    if (waitMs < shortestWaitMs) {
      if (!this.#pass(chunk)) this.#inner.pause();
      return;
    }
    this.#inner.pause();
    this.#reading = this.#clock.after(waitMs, () => {
      this.#reading = undefined;
      if (this.#pass(chunk)) this.#inner.resume();
      // It came while the last piece was held.
      if (this.#ended) this.push(null);
    });
  }

  #pass(chunk: Buffer): boolean {
    this.bytesRead += chunk.length;
    return this.push(chunk);
  }

  #writeLater(length: number, write: () => void): void {
    const pass = (): void => {
      this.bytesWritten += length;
      write();
    };
    const waitMs = this.#limiter.bytes(length);
    if (waitMs < shortestWaitMs) pass();
    else this.#writing = this.#clock.after(waitMs, pass);
  }
}
