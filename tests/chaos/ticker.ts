// A process that ticks as the guests do, and tells its parent whenever it did not get to. It works for each tick as an emulated guest must, and has as
// little weight against the rest of the machine as one of several VMs, which have that of a single process together. Ends with its parent.
import { setPriority } from 'node:os';
import { hostMs } from './guest.ts';
import { tickMs } from './ticks.ts';

const told = 2.5 * tickMs;
const workMs = 8;
setPriority(10);
let before = hostMs();
setInterval(() => {
  const now = hostMs();
  if (now - before > told) process.send?.({ fromMs: before, toMs: now });
  before = now;
  while (hostMs() < now + workMs);
}, tickMs);
process.on('disconnect', () => process.exit());
