// Some room on the disk that is kept for the next start: a server that cannot start on a full disk cannot end what fills it either.
import { randomFillSync } from 'node:crypto';
import { createFile, remove } from './durable-file.ts';

/** More than a start writes, with the log of the database. */
const reserveBytes = 8 << 20;

/** Makes the file that keeps the room, in the place of an older one. Rejects with `disk_full` when there is none; then it is not there. */
export async function keepReserve(path: string): Promise<void> {
  await remove(path);
  const file = await createFile(path);
  try {
    // Random, since some file systems give zeros no room.
    await file.append([randomFillSync(Buffer.alloc(reserveBytes))]).finally(() => file.close());
  } catch (error) {
    await remove(path);
    throw error;
  }
}
