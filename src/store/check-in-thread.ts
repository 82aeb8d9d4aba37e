// As `checkDatabaseFile`, in a thread of its own.
import { Worker } from 'node:worker_threads';
import { Fault } from '../lib/errors.ts';
import type { DatabaseCheck } from './check-database.ts';

/** Rejects with `aborted` on `signal`. */
export function checkInThread(path: string, signal?: AbortSignal): Promise<DatabaseCheck> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./database-check-thread.ts', import.meta.url), { workerData: path });
    const onAbort = (): void => {
      void worker.terminate();
      reject(new Fault('aborted', { what: 'The check of the database' }));
    };
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => {
      signal?.removeEventListener('abort', onAbort);
      reject(new Fault('internal', { what: 'The thread that checks the database ended without a word.' }));
    });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
