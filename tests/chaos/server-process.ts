// The server that is killed again and again: always on the same ports and the same data directory.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { whyNotBindable } from '../../cli/ports.ts';
import type { ServerFacts } from '../../src/contract/server-facts.ts';
import { pause } from '../../src/lib/deadline.ts';
import { hostMs } from './guest.ts';

const repository = resolve(import.meta.dirname, '../..');
const startDeadlineMs = 90_000;

export interface ServerPlace {
  data: string;
  /** Gets what servers say on standard error. */
  log: string;
  apiPort: number;
  gatewayPort: number;
}

export interface ProcessEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly pid: number;
  /** From the spawn until both ports took connections. */
  readonly openMs: number;
  readonly facts: ServerFacts;
  /** PEM of the endpoints' authority. */
  readonly ca: string;
  /** Nobody here has told it to end. */
  readonly shouldLive: boolean;
  readonly gone: Promise<ProcessEnd>;
  kill(signal: NodeJS.Signals): Promise<ProcessEnd>;
}

/**
 * Two ports that nobody uses now. Below those that the kernel gives to outgoing connections: one of them could be given to whoever
 * tries to connect to it while the server is dead, and would be connected with itself.
 */
export async function freePorts(): Promise<{ apiPort: number; gatewayPort: number }> {
  const found: number[] = [];
  while (found.length < 2) {
    const port = randomInt(15_000, 30_000);
    if (!found.includes(port) && (await whyNotBindable('127.0.0.1', port)) === undefined) found.push(port);
  }
  const [apiPort = 0, gatewayPort = 0] = found;
  return { apiPort, gatewayPort };
}

/**
 * Starts `waterbear serve`. Resolves when both ports take connections and it says that it serves, whatever it does in the
 * background; rejects when it ends before, or is not there in time: then it is dead.
 */
export async function startProcess(
  place: ServerPlace,
  more: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<RunningProcess> {
  const { data, apiPort, gatewayPort } = place;
  const ports = ['--api-port', String(apiPort), '--gateway-port', String(gatewayPort)];
  const args = ['--data', data, ...ports, '--accel', 'tcg', '--egress', 'none', '--log', 'warn', ...more];
  const log = openSync(place.log, 'a');
  const startedMs = hostMs();
  // With a channel it ends when we do.
  const stdio = ['ignore', 'ignore', log, 'ipc'] as const;
  const child = spawn(`${repository}/bin/waterbear`, ['serve', ...args], { stdio: [...stdio], env: environment });
  closeSync(log);
  const said = once(child, 'message');
  const gone = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  let shouldLive = true;
  const kill: RunningProcess['kill'] = (signal) => {
    shouldLive = false;
    child.kill(signal);
    return gone;
  };
  try {
    await Promise.all([apiPort, gatewayPort].map((port) => untilOpen(port, child)));
    const openMs = hostMs() - startedMs;
    // Its own file need not be there yet when its disk fails.
    const [{ listening: facts }] = (await Promise.race([said, gone.then(endedEarly)])) as [{ listening: ServerFacts }];
    const ca = await readFile(facts.caFile, 'utf8');
    return {
      ...{ pid: child.pid ?? 0, openMs, facts, ca, gone, kill },
      get shouldLive() {
        return shouldLive;
      },
    };
  } catch (error) {
    await kill('SIGKILL');
    throw error;
  }
}

function endedEarly({ code, signal }: ProcessEnd): never {
  throw new Error(`the server ended with ${code ?? signal} before it served`);
}

async function untilOpen(port: number, child: ChildProcess): Promise<void> {
  const end = hostMs() + startDeadlineMs;
  while (!(await takesConnections(port))) {
    if (child.exitCode !== null || child.signalCode !== null) {
      endedEarly({ code: child.exitCode, signal: child.signalCode });
    }
    if (hostMs() > end) throw new Error(`port ${port} was not open after ${startDeadlineMs} ms`);
    await pause(10);
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
    socket.once('connect', () => socket.destroy());
  });
}
