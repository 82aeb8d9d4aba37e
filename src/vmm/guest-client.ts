// The host's side of docs/guest-protocol.md. The guest is hostile: every line it sends has a size limit and a schema.
import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { within } from '../lib/deadline.ts';
import { Fault } from '../lib/errors.ts';
import type { AppPlan, Freshness, Guest, Wire } from './driver.ts';

const maxLineBytes = 1 << 20;
const relayDeadlineMs = 10_000;
/** The agent adds its own deadline to a hook; this is the slack for its answer. */
const answerSlackMs = 5_000;

const answer = z.object({
  id: z.number().int(),
  ok: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ code: z.string().max(64), message: z.string().max(4096) }).optional(),
});
const exited = z.object({
  event: z.literal('exited'),
  exitCode: z.number().int().optional(),
  signal: z.string().max(32).optional(),
});
const repairedKinds = z.array(z.enum(['clock', 'entropy', 'machine-id', 'boot-id', 'hostname', 'sockets'])).max(16);

export interface AppExit {
  exitCode?: number;
  signal?: string;
}

type Waiting = { resolve: (ok: Record<string, unknown>) => void; reject: (error: unknown) => void };

/** Speaks with one agent. Emits `exited` when the application's main process ends. */
export class GuestClient extends EventEmitter<{ exited: [AppExit] }> implements Guest {
  readonly #control: Socket;
  readonly #wire: Wire | undefined;
  readonly #waiting = new Map<number, Waiting>();
  /** Connections to the application, those being made included. */
  readonly #streams = new Set<Socket>();
  #rest: Buffer[] = [];
  #restBytes = 0;
  #next = 1;

  constructor(control: Socket, wire: Wire | undefined) {
    super();
    this.#control = control;
    this.#wire = wire;
    control.on('data', (bytes: Buffer) => this.#take(bytes));
    control.on('error', () => {});
    control.on('close', () => this.#closed());
  }

  async hello(timeoutMs: number): Promise<{ agent: string; kernel: string }> {
    const ok = await this.#ask('hello', {}, timeoutMs);
    return z.object({ agent: z.string().max(64), kernel: z.string().max(128) }).parse(ok);
  }

  async start(plan: AppPlan & { hostname?: string }): Promise<void> {
    await this.#ask('start', { ...plan, hostname: plan.hostname ?? 'localhost' }, 30_000);
  }

  async listening(port: number): Promise<boolean> {
    const ok = await this.#ask('listening', { port }, 10_000);
    return ok.listening === true;
  }

  async hook(port: number, name: string, body: string | undefined, timeoutMs: number): Promise<number> {
    const path = `/aws/lambda-microvms/runtime/v1/${name}`;
    const ok = await this.#ask(
      'hook',
      { port, path, timeoutMs, ...(body === undefined ? {} : { body }) },
      timeoutMs + answerSlackMs,
    );
    return z.object({ status: z.number().int().min(100).max(999) }).parse(ok).status;
  }

  async quiesce(): Promise<void> {
    await this.#ask('quiesce', {}, 10_000);
  }

  async thaw(): Promise<void> {
    await this.#ask('thaw', {}, 10_000);
  }

  /** Sends the new identity, the time and fresh entropy; resolves with what was repaired, when the application runs. */
  async freshen(freshness: Freshness, unixNs: bigint, entropy: Buffer, timeoutMs: number): Promise<string[]> {
    const question = { unixNs: unixNs.toString(), entropy: entropy.toString('base64'), ...freshness };
    const ok = await this.#ask('freshen', question, timeoutMs);
    return z.object({ repaired: repairedKinds }).parse(ok).repaired;
  }

  async open(port: number, signal?: AbortSignal): Promise<Duplex> {
    const { relay } = this.#wire ?? {};
    if (!relay) throw new Fault('guest_failed', { what: 'has no network' });
    if (this.#control.destroyed) throw new Fault('guest_failed', { what: 'went away' });
    const socket = connect({ ...relay, allowHalfOpen: true, noDelay: true });
    this.#streams.add(socket);
    socket.once('close', () => this.#streams.delete(socket));
    try {
      await within(relayDeadlineMs, `Connecting to port ${port} of the guest`, handshake(socket, port, signal));
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Ends every connection too: a VM that is gone resets none of them, and whoever waits for it would wait for his deadline. */
  close(): void {
    this.#control.destroy();
    for (const socket of this.#streams) socket.destroy();
  }

  #ask(call: string, members: Record<string, unknown>, timeoutMs: number): Promise<Record<string, unknown>> {
    const id = this.#next++;
    const reply = new Promise<Record<string, unknown>>((resolve, reject) => {
      if (this.#control.destroyed) return reject(new Fault('guest_failed', { what: `was gone before ${call}` }));
      this.#waiting.set(id, { resolve, reject });
      this.#control.write(`${JSON.stringify({ id, call, ...members })}\n`);
    });
    return within(timeoutMs, `The guest's ${call}`, reply).finally(() => this.#waiting.delete(id));
  }

  #take(bytes: Buffer): void {
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      const line = Buffer.concat([...this.#rest, bytes.subarray(from, end)]).toString('utf8');
      this.#rest = [];
      this.#restBytes = 0;
      from = end + 1;
      this.#handle(line);
    }
    this.#rest.push(bytes.subarray(from));
    this.#restBytes += bytes.length - from;
    if (this.#restBytes > maxLineBytes) this.close();
  }

  #handle(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return;
    }
    const event = exited.safeParse(value);
    if (event.success) {
      const { exitCode, signal } = event.data;
      this.emit('exited', {
        ...(exitCode === undefined ? {} : { exitCode }),
        ...(signal === undefined ? {} : { signal }),
      });
      return;
    }
    const reply = answer.safeParse(value);
    if (!reply.success) return;
    const waiting = this.#waiting.get(reply.data.id);
    if (reply.data.error) waiting?.reject(guestFault(reply.data.error));
    else waiting?.resolve(reply.data.ok ?? {});
  }

  #closed(): void {
    for (const { reject } of this.#waiting.values()) reject(new Fault('guest_failed', { what: 'went away' }));
    this.#waiting.clear();
  }
}

function guestFault(error: { code: string; message: string }): Fault {
  if (error.code === 'timeout') return new Fault('deadline_exceeded', { what: `The guest (${error.message})`, ms: 0 });
  return new Fault('guest_failed', { what: `answered ${error.code}: ${error.message}`, guestCode: error.code });
}

/** Names the port, waits for the agent's one-byte answer. */
function handshake(socket: Socket, port: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => reject(new Fault('guest_failed', { what }));
    const onAbort = (): void => reject(new Fault('aborted', { what: 'The connection' }));
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const onError = (cause: Error): void => fail(`could not be reached (${cause.message})`);
    const onEnd = (): void => fail('closed the connection');
    const onReadable = (): void => {
      const byte: Buffer | null = socket.read(1);
      if (byte === null) return;
      socket.off('readable', onReadable);
      socket.off('error', onError);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      signal?.removeEventListener('abort', onAbort);
      if (byte.toString('latin1') === '+') resolve();
      else fail(`has nothing listening on port ${port}`);
    };
    socket.on('error', onError);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    socket.on('readable', onReadable);
    socket.write(`${port}\n`);
  });
}
