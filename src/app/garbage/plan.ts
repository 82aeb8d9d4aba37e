// What could be collected now.
import type { AppContext } from '../context.ts';
import { endedRows } from './ended-rows.ts';
import type { Survey } from './find-orphans.ts';
import { oldLogs } from './old-logs.ts';
import { oldVersions } from './old-versions.ts';
import type { Orphan } from './orphan.ts';
import type { Planned } from './piece.ts';
import { reap } from './reap.ts';
import { suspendedForLong } from './suspended-for-long.ts';

/** What the policies of this server say. */
export async function duePieces(app: AppContext, found: Survey): Promise<Planned[]> {
  return [
    ...suspendedForLong(app, found),
    ...(await oldVersions(app, found)),
    ...(await endedRows(app)),
    ...oldLogs(app, found),
  ];
}

export const orphanPieces = (app: AppContext, orphans: readonly Orphan[]): Planned[] =>
  orphans.map((orphan) => ({
    ...{ policy: 'orphan', id: orphan.id, where: orphan.where, bytes: orphan.bytes },
    ...{ why: orphan.why, cleaning: orphan.cleaning },
    collect: async () => {
      const [reaped] = await reap(app, [orphan]);
      return reaped?.why;
    },
  }));
