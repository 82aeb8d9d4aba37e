// QEMU Machine Protocol over a named unix socket. https://www.qemu.org/docs/master/interop/qmp-spec.html
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { z } from 'zod';
import { within } from '../../lib/deadline.ts';
import { Fault } from '../../lib/errors.ts';

const maxLineBytes = 4 << 20;
const message = z.object({
  id: z.number().optional(),
  return: z.unknown().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
  event: z.string().optional(),
  data: z.unknown().optional(),
});

type Waiting = { resolve: (value: unknown) => void; reject: (error: unknown) => void };

/** One monitor connection. Emits `event` (name, data) and `close`. */
export class Qmp extends EventEmitter<{ event: [string, unknown]; close: [] }> {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #rest = '';

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', () => {});
    socket.on('close', () => this.#closed());
  }

  /** Sends a command; resolves with its `return`. Rejects with `vmm_failed` or `deadline_exceeded`. */
  execute(command: string, args: Record<string, unknown> = {}, timeoutMs = 10_000): Promise<unknown> {
    const id = this.#next++;
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Fault('vmm_failed', { what: `was gone before ${command}` }));
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
    return within(timeoutMs, `QEMU's ${command}`, answer).finally(() => this.#waiting.delete(id));
  }

  /** `close` has been emitted, or is about to be. */
  get closed(): boolean {
    return this.#socket.destroyed;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#rest += text;
    if (this.#rest.length > maxLineBytes) {
      this.close();
      return;
    }
    const lines = this.#rest.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#answer(line);
  }

  #answer(line: string): void {
    const parsed = message.safeParse(parseJson(line));
    if (!parsed.success) return;
    const { id, error, event, data } = parsed.data;
    if (event !== undefined) this.emit('event', event, data);
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (error) waiting?.reject(new Fault('vmm_failed', { what: `refused a command (${error.desc})` }));
    else waiting?.resolve(parsed.data.return);
  }

  #closed(): void {
    for (const { reject } of this.#waiting.values()) reject(new Fault('vmm_failed', { what: 'went away' }));
    this.#waiting.clear();
    this.emit('close');
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
