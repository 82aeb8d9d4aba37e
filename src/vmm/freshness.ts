// Who a VM is that was restored from an image.
import { randomUUID } from 'node:crypto';
import type { Freshness } from './driver.ts';

const maxHostnameLength = 63;

/** A machine that never was before. */
export const newFreshness = (name: string): Freshness => ({
  machineId: randomUUID().replaceAll('-', ''),
  bootId: randomUUID(),
  hostname: name.slice(0, maxHostnameLength),
});
