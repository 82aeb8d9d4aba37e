// Data directories of demos. One that a killed demo left is used again instead of removed: the server that starts on it
// finds and ends whatever the old one left running.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../src/lib/errors.ts';
import { isAlive, readServerFile } from '../server-file.ts';

const stages = 16;
const ownerFile = 'demo.pid';

/** Resolves with a directory that no living demo and no living server uses, marked as ours. Rejects with `conflict`. */
export async function takeStage(parent: string, pid: number = process.pid): Promise<string> {
  for (let number = 1; number <= stages; number += 1) {
    const directory = join(parent, `d${number}`);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (await inUse(directory)) continue;
    await writeFile(join(directory, ownerFile), String(pid), { mode: 0o600 });
    return directory;
  }
  throw new Fault('conflict', { what: `${stages} demos run already. Wait for one to end.` });
}

async function inUse(directory: string): Promise<boolean> {
  const owner = Number(await readFile(join(directory, ownerFile), 'utf8').catch(() => ''));
  if (Number.isInteger(owner) && owner > 0 && isAlive(owner)) return true;
  // The server outlives a killed demo for the time it takes to stop.
  const server = await readServerFile(directory).catch(() => undefined);
  return server !== undefined && isAlive(server.pid);
}
