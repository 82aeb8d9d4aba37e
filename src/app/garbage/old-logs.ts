// --keep-logs: logs of builds that ended long ago. Without it a log stays as long as its build.
import type { AppContext } from '../context.ts';
import { durationText } from './duration-text.ts';
import type { Survey } from './find-orphans.ts';
import { isOpen } from './judge.ts';
import { discardOne, type Planned } from './piece.ts';

export function oldLogs(app: AppContext, { things, books }: Survey): Planned[] {
  const { keepLogsMs } = app.settings.lifecycle;
  if (keepLogsMs === undefined) return [];
  const old = things.filter(
    ({ kind, use, ageMs, buildId = '' }) =>
      // One whose build is gone is an orphan.
      kind === 'build-log' && use === undefined && ageMs >= keepLogsMs && isEnded(books.builds.get(buildId)),
  );
  return old.map(({ id, where, bytes }) => ({
    ...{ policy: 'keep-logs', id, where, bytes },
    why: `Its build ended more than ${durationText(keepLogsMs)} ago (--keep-logs).`,
    cleaning: 'The log is removed; the image stays.',
    collect: () => discardOne(app, id),
  }));
}

const isEnded = (build: { endedAtMs: number | null } | undefined): boolean => build !== undefined && !isOpen(build);
