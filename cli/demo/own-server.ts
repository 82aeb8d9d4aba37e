// A server for the length of one demo: a child process on free ports with a data directory that is removed afterwards.
import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ServerFacts } from '../../src/contract/server-facts.ts';
import { within } from '../../src/lib/deadline.ts';
import { Fault } from '../../src/lib/errors.ts';
import { parseServerFile } from '../server-file.ts';
import type { Surroundings } from '../surroundings.ts';
import { takeStage } from './stage-directory.ts';

export interface OwnServer {
  facts: ServerFacts;
  /** Relative to the repository. */
  dataDirectory: string;
  /** Ends the server and removes its data; harder when it takes too long. */
  stop(): Promise<void>;
}

const startDeadlineMs = 60_000;
const stopDeadlineMs = 75_000;
const logTailLines = 15;

/** What the server writes is in `.waterbear/demo.log`, also after a failure. */
export async function startOwnServer(
  around: Pick<Surroundings, 'repositoryDirectory' | 'env'>,
  options: { accel: string },
): Promise<OwnServer> {
  const root = around.repositoryDirectory;
  const data = await takeStage(join(root, '.waterbear', 'demo-data'));
  const logPath = join(root, '.waterbear', 'demo.log');
  const removeData = (): Promise<void> => rm(data, { recursive: true, force: true });
  const ports = ['--api-port', '0', '--gateway-port', '0'];
  // The example is our own, and nothing is in the cache of a builder VM yet.
  const build = ['--build-isolation', 'host'];
  const args = ['serve', '--data', data, ...ports, ...build, '--accel', options.accel, '--log', 'info'];
  const log = await open(logPath, 'w', 0o600);
  // A group of its own: Ctrl-C is for the demo, which first ends its MicroVMs. The channel tells the server if the demo dies.
  const child = spawn(join(root, 'bin', 'waterbear'), args, {
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
    detached: true,
    env: { ...around.env },
  });
  await log.close();
  const stop = async (): Promise<void> => {
    await end(child);
    await removeData();
  };
  try {
    const facts = await within(startDeadlineMs, 'Starting the server', listening(child));
    return { facts, dataDirectory: relative(root, data), stop };
  } catch (cause) {
    await stop();
    const tail = (await readFile(logPath, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-logTailLines);
    const what = `The server did not start. The end of ${relative(root, logPath)}:\n${tail.join('\n')}`;
    throw new Fault('internal', { what }, cause);
  }
}

function listening(child: ChildProcess): Promise<ServerFacts> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Fault('internal', { what: 'The server ended while it started.' })));
    child.once('message', (message: unknown) => {
      const facts =
        typeof message === 'object' && message !== null && 'listening' in message ? message.listening : null;
      try {
        resolve(parseServerFile(JSON.stringify(facts), 'The message of the server'));
      } catch (error) {
        reject(error);
      }
    });
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  try {
    await within(stopDeadlineMs, 'Stopping the server', gone);
  } catch {
    child.kill('SIGKILL');
    await gone;
  }
}
