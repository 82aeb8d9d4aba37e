// One connection to a shell: the user's terminal, or pipes, on this side. The terminal is as it was when this is over, whatever ended it.
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import type { Console } from '../surroundings.ts';
import type { WebSocket } from './connect.ts';
import { EscapeFilter } from './escape.ts';
import { handThrough } from './terminal-mode.ts';

export interface SessionOrder {
  socket: WebSocket;
  console: Console;
  /** The shell's input and output are the user's terminal. */
  terminal: boolean;
  /** Undefined for the plain shell of the endpoint. */
  argv: readonly string[] | undefined;
}

export type SessionEnd =
  | { kind: 'exited'; exitCode: number }
  /** The other side closed: RFC 6455, 7.4.1. */
  | { kind: 'closed'; code: number; reason: string }
  | { kind: 'left' }
  /** This server runs no commands: it is in profile `aws`. */
  | { kind: 'no commands' }
  /** A signal came, or nobody reads the output any more. */
  | { kind: 'stopped'; exitCode: number };

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const maxWaitingBytes = 1 << 20;

/** Resolves once. */
export function runSession(order: SessionOrder): Promise<SessionEnd> {
  return new Promise((resolve) => new Session(order, resolve).begin());
}

class Session {
  readonly #order: SessionOrder;
  readonly #resolve: (end: SessionEnd) => void;
  readonly #escape = new EscapeFilter();
  #exitCode: number | undefined;
  #undo: (() => void)[] = [];

  constructor(order: SessionOrder, resolve: (end: SessionEnd) => void) {
    this.#order = order;
    this.#resolve = resolve;
  }

  begin(): void {
    const { socket, terminal, argv } = this.#order;
    const { output, errors, signals } = this.#order.console;
    this.#on(socket, 'message', (data: Buffer, isBinary: boolean) => this.#hear(data, isBinary));
    this.#on(socket, 'close', (code: number, reason: Buffer) => this.#closed(code, reason.toString()));
    for (const stream of [output, errors]) {
      this.#on(stream, 'error', () => this.#end({ kind: 'stopped', exitCode: 128 + constants.signals.SIGPIPE }));
    }
    for (const signal of stopSignals) {
      this.#on(signals, signal, () => this.#end({ kind: 'stopped', exitCode: 128 + constants.signals[signal] }));
    }
    if (terminal) {
      this.#undo.push(handThrough(this.#order.console));
      this.#on(output, 'resize', () => this.#say({ type: 'resize', ...this.#size() }));
    }
    if (argv === undefined) this.#talk();
    socket.resume();
  }

  /** The shell runs: what the user says goes there. */
  #talk(): void {
    const { input } = this.#order.console;
    if (this.#order.argv === undefined) this.#say({ type: 'resize', ...this.#size() });
    else this.#say({ type: 'command', argv: this.#order.argv, terminal: this.#order.terminal, ...this.#size() });
    this.#on(input, 'data', (keys: Buffer) => this.#type(keys));
    this.#on(input, 'end', () => !this.#order.terminal && this.#say({ type: 'end_of_input' }));
    input.resume();
    this.#undo.push(() => input.pause());
  }

  #type(keys: Buffer): void {
    const { socket, terminal, console } = this.#order;
    const { bytes, leave } = terminal ? this.#escape.pass(keys) : { bytes: keys, leave: false };
    if (leave) {
      this.#end({ kind: 'left' });
      return;
    }
    if (socket.readyState !== socket.OPEN) return;
    socket.send(bytes, () => socket.bufferedAmount <= maxWaitingBytes && console.input.resume());
    if (socket.bufferedAmount > maxWaitingBytes) console.input.pause();
  }

  #hear(data: Buffer, isBinary: boolean): void {
    const { output, errors } = this.#order.console;
    if (!isBinary) this.#note(data);
    else if (this.#order.terminal) this.#write(output, data);
    else this.#write(data[0] === 2 ? errors : output, data.subarray(1));
  }

  #note(text: Buffer): void {
    const said = parse(text);
    if (said.type === 'exit') {
      this.#exitCode = typeof said.signal === 'number' ? 128 + said.signal : Number(said.code);
    } else if (said.type === 'session_init' && this.#order.argv !== undefined) {
      if (said.commands === true) this.#talk();
      else this.#end({ kind: 'no commands' });
    }
  }

  #write(to: Writable, data: Buffer): void {
    const { socket } = this.#order;
    if (to.write(data)) return;
    socket.pause();
    to.once('drain', () => socket.resume());
  }

  #say(control: Record<string, unknown>): void {
    const { socket } = this.#order;
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(control));
  }

  /** Terminals that do not know their size have none. */
  #size(): { cols: number; rows: number } | Record<string, never> {
    const { columns, rows } = this.#order.console.output;
    return this.#order.terminal && columns && rows ? { cols: columns, rows } : {};
  }

  #closed(code: number, reason: string): void {
    if (code === 1000) this.#end({ kind: 'exited', exitCode: this.#exitCode ?? 0 });
    else this.#end({ kind: 'closed', code, reason });
  }

  #end(end: SessionEnd): void {
    for (const undo of this.#undo.splice(0)) undo();
    this.#order.socket.terminate();
    this.#resolve(end);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the events of several emitters
  #on(emitter: Pick<NodeJS.EventEmitter, 'on' | 'off'>, event: string, listener: (...args: any[]) => void): void {
    emitter.on(event, listener);
    this.#undo.push(() => emitter.off(event, listener));
  }
}

function parse(text: Buffer): Record<string, unknown> {
  try {
    return Object(JSON.parse(text.toString())) as Record<string, unknown>;
  } catch {
    return {};
  }
}
