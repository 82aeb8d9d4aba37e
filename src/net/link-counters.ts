// What the kernel has counted on a link of the host.
import { readFile } from 'node:fs/promises';

/** Bytes that have come in by this link since it was made. Rejects when there is no such link. */
export async function receivedBytes(link: string): Promise<number> {
  return Number(await readFile(`/sys/class/net/${link}/statistics/rx_bytes`, 'utf8'));
}
