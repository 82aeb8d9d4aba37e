// One shell: messages of a client's WebSocket on one side, frames of the guest on the other. Reference g. What AWS has not (how a shell ended, and
// commands instead of one) is for profile `open`: docs/compatibility.md.
import { randomUUID } from 'node:crypto';
import { type Duplex, finished } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';
import {
  decodeExit,
  encodeFrame,
  encodeInput,
  encodeSize,
  FrameReader,
  guestFrames,
  hostFrames,
  type ShellFrame,
} from '../contract/shell-frames.ts';
import { describe } from '../lib/errors.ts';
import { farewellAfter, farewellMs } from './farewell.ts';
import { type CommandOrder, commandFrames, isEndOfInput, readCommand, readSize } from './shell-messages.ts';
import { closeReason, openWebSocket, type WebSocket } from './web-socket-server.ts';

export interface ShellOrder {
  client: Duplex;
  /** What the client sent right behind its handshake. */
  early: Buffer;
  guest: Duplex;
  activity: Activity;
  /** The first message names a command. */
  withCommand: boolean;
  /** Tells how the shell ended. */
  explain: boolean;
  /** Called once, when the client's side is over; `why` is what ended it, for the log. */
  onEnd(why: string): void;
}

const maxMessageBytes = 1 << 20;
const commandDeadlineMs = 10_000;
/** In front of what a command without a terminal writes: which of its outputs that was. */
const channels: Record<string, Buffer> = {
  [guestFrames.output]: Buffer.from([1]),
  [guestFrames.errors]: Buffer.from([2]),
};

/** Takes both streams over, until both are closed. */
export function runShell(order: ShellOrder): void {
  new ShellSession(order).begin();
}

class ShellSession {
  readonly #order: ShellOrder;
  readonly #socket: WebSocket;
  readonly #reader = new FrameReader();
  /** What runs; undefined as long as the client has not said it. */
  #command: CommandOrder | undefined;
  #why: string | undefined;

  constructor(order: ShellOrder) {
    this.#order = order;
    this.#socket = openWebSocket(order.client, order.early, maxMessageBytes);
  }

  begin(): void {
    const { client, guest, activity, withCommand } = this.#order;
    const socket = this.#socket;
    guest.on('error', () => {});
    client.on('data', () => activity.touch());
    socket.on('error', (error) => this.#note(describe(error)));
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#fromClient(data, isBinary));
    guest.on('data', (chunk: Buffer) => this.#fromGuest(chunk));
    const session = { type: 'session_init', session_id: randomUUID(), ...(withCommand ? { commands: true } : {}) };
    socket.send(JSON.stringify(session));
    if (!withCommand) this.#start({ argv: [], terminal: true });
    const late = setTimeout(() => {
      if (!this.#command) this.#close(1008, 'No command came.');
    }, commandDeadlineMs);
    guest.once('end', () => this.#guestEnded(guest.errored));
    finished(guest, (error) => this.#guestEnded(error));
    socket.once('close', (code: number) => {
      clearTimeout(late);
      guest.destroy();
      activity.end();
      this.#order.onEnd(this.#why ?? `the client left (${code})`);
    });
  }

  #start(command: CommandOrder): void {
    this.#command = command;
    this.#toGuest(commandFrames(command));
  }

  #fromClient(data: Buffer, isBinary: boolean): void {
    if (!this.#command) {
      const command = isBinary ? undefined : readCommand(data);
      if (command) this.#start(command);
      else this.#close(1008, 'The first message names no command.');
      return;
    }
    const size = isBinary ? undefined : readSize(data);
    if (size === 'out of bounds') return;
    if (size) this.#toGuest(encodeSize(size.cols, size.rows));
    else if (!isBinary && !this.#command.terminal && isEndOfInput(data))
      this.#toGuest(encodeFrame(hostFrames.inputEnd));
    else this.#toGuest(encodeInput(data));
  }

  /** A guest that does not read stops its client. */
  #toGuest(frames: Buffer): void {
    const { guest } = this.#order;
    if (frames.length === 0 || !guest.writable || guest.write(frames) || guest.destroyed) return;
    this.#socket.pause();
    guest.once('drain', () => this.#socket.resume());
  }

  /** A client that does not read stops its guest. */
  #fromGuest(chunk: Buffer): void {
    const { client, guest } = this.#order;
    for (const frame of this.#reader.take(chunk)) this.#take(frame);
    if (!client.writableNeedDrain || guest.isPaused()) return;
    guest.pause();
    client.once('drain', () => guest.resume());
  }

  #take({ kind, payload }: ShellFrame): void {
    if (this.#why !== undefined) return;
    switch (kind) {
      case guestFrames.output:
      case guestFrames.errors: {
        const channel = this.#command?.terminal ? undefined : channels[kind];
        this.#socket.send(channel ? Buffer.concat([channel, payload]) : payload, { binary: true });
        break;
      }
      case guestFrames.exit:
        this.#exited(payload);
        break;
      case guestFrames.tooMany:
        this.#close(1008, payload.toString());
        break;
      case guestFrames.failed:
        this.#close(1011, payload.toString());
        break;
      default:
        this.#close(1011, 'The guest does not keep to its protocol.');
    }
  }

  #exited(payload: Buffer): void {
    const exit = decodeExit(payload);
    if (this.#order.explain && exit) this.#socket.send(JSON.stringify({ type: 'exit', ...exit }));
    this.#close(1000, 'shell exited');
  }

  #guestEnded(error: Error | null | undefined): void {
    if (this.#why !== undefined) return;
    const farewell = farewellAfter(error);
    if (!farewell) {
      this.#close(1011, 'The connection to the shell broke.');
      return;
    }
    this.#close(farewell.code, farewell.reason);
    // Nothing more will happen here: a client that does not take what was sent is not waited for.
    const timer = setTimeout(() => this.#socket.terminate(), farewellMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  #close(code: number, reason: string): void {
    this.#note(reason);
    this.#socket.close(code, closeReason(reason));
    this.#order.guest.destroy();
    // What waited for the guest goes nowhere; the client's own end must still be read.
    this.#socket.resume();
  }

  #note(why: string): void {
    this.#why ??= why;
  }
}
