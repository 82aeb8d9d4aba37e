// The application inside a fake VM: a counter over HTTP.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../lib/clock.ts';
import { createServer } from '../../lib/node-http.ts';
import type { AppState } from './app-state.ts';
import { appScript, hookScript } from './script.ts';

const hookPath = /^\/aws\/lambda-microvms\/runtime\/v1\/([a-z]{1,32})$/;
const keptHooks = 100;
const bodyLimitBytes = 64 << 10;

export interface AppEvents {
  /** Its main process ended by itself. */
  exited: (exitCode: number) => void;
  print: (text: string) => void;
}

export class FakeApp {
  readonly state: AppState;
  readonly #clock: Clock;
  #events: AppEvents = { exited: () => {}, print: () => {} };
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  #timers: Timer[] = [];
  #running = false;
  /** What waits for the thaw; undefined when not frozen. */
  #waiting: (() => void)[] | undefined;

  constructor(state: AppState, clock: Clock) {
    this.state = state;
    this.#clock = clock;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('upgrade', (request: IncomingMessage, stream: Duplex) => {
      stream.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
      );
      stream.pipe(stream);
    });
  }

  /** Who hears of its events from now on. */
  tell(events: AppEvents): void {
    this.#events = events;
  }

  /** Runs as the state says: after a start, after a restore. */
  run(): void {
    if (!this.state.started) return;
    this.#running = true;
    const { port, exitAfterMs, exitCode } = appScript(this.state.environment);
    this.#events.print(port === undefined ? 'started, listening nowhere\n' : `started, listening on ${port}\n`);
    if (exitAfterMs !== undefined) this.#timers.push(this.#clock.after(exitAfterMs, () => this.#exit(exitCode)));
  }

  stop(): void {
    this.#running = false;
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
    this.#waiting = undefined;
    this.#dropConnections();
  }

  /** Closes all connections; new ones, and hooks, wait for `thaw`. */
  freeze(): void {
    this.#waiting ??= [];
    this.#dropConnections();
  }

  thaw(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const go of waiting) go();
  }

  listens(port: number): boolean {
    return this.#running && appScript(this.state.environment).port === port;
  }

  /** A new connection is the HTTP server's, or `serve`'s. */
  accept(socket: Socket, serve = (one: Socket): void => void this.#server.emit('connection', one)): void {
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    this.#whenThawed(() => {
      serve(socket);
      socket.resume();
    });
  }

  /** Status of a lifecycle hook, as the script says; remembered. */
  async hook(name: string, body: string | undefined): Promise<number> {
    if (this.#waiting) await new Promise<void>((resolve) => this.#whenThawed(resolve));
    const { status, unavailableCalls, delayMs } = hookScript(this.state.environment, name);
    const calls = (this.state.hookCalls[name] ?? 0) + 1;
    this.state.hookCalls[name] = calls;
    const answer = calls <= unavailableCalls ? 503 : status;
    this.state.hooks.push({ name, ...(body === undefined ? {} : { body }), status: answer });
    this.state.hooks.splice(0, this.state.hooks.length - keptHooks);
    this.#events.print(`hook ${name} ${answer}\n`);
    if (delayMs > 0) await this.#wait(delayMs);
    return answer;
  }

  #whenThawed(act: () => void): void {
    if (this.#waiting) this.#waiting.push(act);
    else act();
  }

  #dropConnections(): void {
    for (const socket of this.#connections) socket.resetAndDestroy();
    this.#connections.clear();
  }

  #exit(exitCode: number): void {
    if (!this.#running) return;
    this.stop();
    this.#events.exited(exitCode);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#timers.push(this.#clock.after(ms, resolve)));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const hook = hookPath.exec(url.pathname)?.[1];
    if (hook && request.method === 'POST') {
      const body = await readBody(request);
      response.writeHead(body === undefined ? 413 : await this.hook(hook, body)).end();
      return;
    }
    switch (url.pathname) {
      case '/':
        this.state.count += 1;
        response.end(`${this.state.count}\n`);
        return;
      case '/echo':
        response.setHeader('content-type', request.headers['content-type'] ?? 'application/octet-stream');
        request.pipe(response);
        return;
      case '/headers':
        return json(response, request.headers);
      case '/hooks':
        return json(response, this.state.hooks);
      case '/identity':
        return json(response, this.state.identity ?? null);
      case '/slow':
        await this.#wait(Math.min(Number(url.searchParams.get('ms')) || 0, 600_000));
        response.end('slow\n');
        return;
      case '/exit':
        this.#exit(Number(url.searchParams.get('code')) || 0);
        return;
      default:
        response.writeHead(404).end('Not found\n');
    }
  }
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
}

/** Undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > bodyLimitBytes) return undefined;
  }
  return text;
}
