// A process that ticks as the guests do, and tells its parent whenever it did not get to. Ends with its parent.
import { hostMs } from './guest.ts';
import { tickMs } from './ticks.ts';

const told = 2.5 * tickMs;
let before = hostMs();
setInterval(() => {
  const now = hostMs();
  if (now - before > told) process.send?.({ fromMs: before, toMs: now });
  before = now;
}, tickMs);
process.on('disconnect', () => process.exit());
