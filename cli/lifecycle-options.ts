// The options of `serve` that say how long what nobody uses is kept.
import type { ServerOptions } from '../src/config/settings.ts';
import { type Flag, numberOption } from './command.ts';
import { durationOption } from './quantities.ts';

export const lifecycleOptions = {
  keepSuspended: durationOption('forever').optional(),
  keepVersions: numberOption(1, 10_000).optional(),
  keepEnded: durationOption('forever').optional(),
  keepLogs: durationOption('forever').optional(),
  reap: durationOption('never').optional(),
};

export const lifecycleFlags: readonly Flag[] = [
  {
    flags: '--keep-suspended <time>',
    text: 'end MicroVMs that sleep for longer, e.g. 30d, whatever their own policy says (default: forever)',
  },
  {
    flags: '--keep-versions <n>',
    text: 'delete versions of images beyond the newest n that no MicroVM uses (default: all are kept)',
  },
  {
    flags: '--keep-ended <time>',
    text: 'remove records of MicroVMs that ended so long ago; their usage stays (default: 30d)',
  },
  { flags: '--keep-logs <time>', text: 'remove build logs of that age (default: with their builds)' },
  {
    flags: '--reap <time>',
    text: "remove what has had no owner for so long and holds nobody's work, or never (default: 1d)",
  },
];

interface Given {
  keepSuspended?: number | 'forever' | undefined;
  keepVersions?: number | undefined;
  keepEnded?: number | 'forever' | undefined;
  keepLogs?: number | 'forever' | undefined;
  reap?: number | 'never' | undefined;
}

export function lifecycleFrom({
  keepSuspended,
  keepVersions,
  keepEnded,
  keepLogs,
  reap,
}: Given): Partial<ServerOptions> {
  return {
    ...(keepSuspended === undefined ? {} : { keepSuspendedMs: keepSuspended }),
    ...(keepVersions === undefined ? {} : { keepVersions }),
    ...(keepEnded === undefined ? {} : { keepEndedMs: keepEnded }),
    ...(keepLogs === undefined ? {} : { keepLogsMs: keepLogs }),
    ...(reap === undefined ? {} : { reapAfterMs: reap }),
  };
}
