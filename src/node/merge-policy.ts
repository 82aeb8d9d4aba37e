// When the disk layers of a sleeping MicroVM become one. A guest that rewrites its disk in every waking time fills a layer each time: without a
// limit in bytes it would take its disk's size again and again.
import type { ImageFacts } from './image-facts.ts';

/** With this many layers they are merged while it sleeps. */
const usualLayers = 6;
/** A wake stops a merge, so that nobody waits for it; but with this many sleeps since the last one it must come to its end. */
const latestSleeps = 64;
/** So many times its disk a MicroVM may take with all its layers before a wake waits for their merge. */
const diskTimes = 2;

export interface MergePlan {
  /** Merge from so many layers on. */
  from: number;
  /** Whether the next wake lets it finish. */
  mustFinish: boolean;
}

/** `asleepBytes`: all that it occupies, memory included. */
export function mergePlan(facts: ImageFacts, sleepsSinceMerge: number, asleepBytes: number): MergePlan {
  const isLarge = asleepBytes > (diskTimes * facts.diskMib + facts.memoryMib) * 2 ** 20;
  return { from: isLarge ? 2 : usualLayers, mustFinish: isLarge || sleepsSinceMerge >= latestSleeps };
}
