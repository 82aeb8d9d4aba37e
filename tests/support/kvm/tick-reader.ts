// Reads the lines of counter.sh out of a VM's console and log.
import { EventEmitter, once } from 'node:events';
import type { Tick } from './report.ts';

const tickDeadlineMs = 60_000;
const pattern = /^tick (\d+) up ([\d.]+) wall (\d+) host (\S+) memory (\S+) draw (\S+)$/;

export class TickReader {
  readonly ticks: Tick[] = [];
  readonly #came = new EventEmitter<{ tick: [] }>();
  #rest = '';

  take(text: Buffer): void {
    const lines = (this.#rest + text.toString('utf8')).split(/\r?\n/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
  }

  /** Resolves when `count` ticks came. */
  async atLeast(count: number): Promise<void> {
    const signal = AbortSignal.timeout(tickDeadlineMs);
    while (this.ticks.length < count) await once(this.#came, 'tick', { signal });
  }

  #line(line: string): void {
    const match = pattern.exec(line);
    if (!match) return;
    const [, number, up, wall, host = '', memory = '', draw = ''] = match;
    this.ticks.push({
      number: Number(number),
      uptimeSeconds: Number(up),
      wallSeconds: Number(wall),
      host,
      memory,
      draw,
      cameMs: Date.now(),
    });
    this.#came.emit('tick');
  }
}
