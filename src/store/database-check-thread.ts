// Checks one database and says what it found: a thread of its own, since SQLite keeps its thread busy.
import { parentPort, workerData } from 'node:worker_threads';
import { checkDatabaseFile } from './check-database.ts';

parentPort?.postMessage(checkDatabaseFile(workerData as string));
