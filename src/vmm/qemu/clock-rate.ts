// Does a guest's clock run as fast as ours? On a busy host a kernel may measure its processor's time stamps wrong, by a factor of nine even, and an image
// would keep that for all of its MicroVMs. A build keeps its time limits by the clock of its VM: they would be over long before their time.
import { pause } from '../../lib/deadline.ts';
import { Fault } from '../../lib/errors.ts';

/** The longer, the less an answer that comes late weighs. */
const windowsMs = [250, 500, 1000, 2000];
const tolerance = 0.1;

/** `elapsed`: what the guest's clock shows, in milliseconds. Rejects with `guest_failed` when it differs in every window. */
export async function checkClockRate(elapsed: () => Promise<number>, windows = windowsMs): Promise<void> {
  let rate = 0;
  for (const ms of windows) {
    const first = await look(elapsed);
    await pause(ms);
    const second = await look(elapsed);
    rate = (second.guestMs - first.guestMs) / (second.hostMs - first.hostMs);
    if (Math.abs(rate - 1) <= tolerance) return;
  }
  throw new Fault('guest_failed', { what: `has a clock that runs ${rate.toFixed(2)} times as fast as the host's` });
}

async function look(elapsed: () => Promise<number>): Promise<{ hostMs: number; guestMs: number }> {
  const before = performance.now();
  const guestMs = await elapsed();
  return { hostMs: (before + performance.now()) / 2, guestMs };
}
