// Reads everything that is kept, every few days, and compares it with its records.
import type { AppContext } from '../app/context.ts';
import type { Task } from './task.ts';

export const scrub = ({ scrubber }: AppContext): Task => ({
  name: 'scrub',
  run: async () => (scrubber.startWhenDue() ? 1 : 0),
});
