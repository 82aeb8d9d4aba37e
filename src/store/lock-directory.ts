// One server per data directory: a second one would end the MicroVMs of the first. SQLite's lock is given back by the kernel when its holder dies, however it dies.
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { Fault } from '../lib/errors.ts';

/** Holds the directory until disposed. Throws `conflict` when another process holds it. */
export function lockDirectory(directory: string): Disposable {
  const lock = new Sqlite(join(directory, 'lock'), { timeout: 0 });
  try {
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    const what = `Another server runs on ${directory}. Stop it first, or name another data directory.`;
    throw new Fault('conflict', { what }, cause);
  }
  return { [Symbol.dispose]: () => void lock.close() };
}
