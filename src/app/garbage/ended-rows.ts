// --keep-ended: records of MicroVMs that ended long ago, with the client tokens that made them. What they used stays in the books.
import { countEndedBefore, removeEndedBefore } from '../../store/ended-microvms.ts';
import type { AppContext } from '../context.ts';
import { durationText } from './duration-text.ts';
import type { Planned } from './piece.ts';

/** Rows of one transaction: others write between two. */
const batch = 200;
const most = 10_000;

/** One piece for all of them. */
export async function endedRows(app: AppContext): Promise<Planned[]> {
  const { keepEndedMs } = app.settings.lifecycle;
  if (keepEndedMs === undefined) return [];
  const beforeMs = app.clock.steady() - keepEndedMs;
  const count = await countEndedBefore(app.db, beforeMs);
  if (count === 0) return [];
  const collect = async (): Promise<undefined> => {
    for (let removed = 0; removed < most; removed += batch) {
      if ((await removeEndedBefore(app.db, beforeMs, batch)) < batch) return;
    }
  };
  return [
    {
      policy: 'keep-ended',
      id: 'ended-records:all',
      where: `${count} record${count === 1 ? '' : 's'}`,
      bytes: 0,
      why: `TERMINATED for longer than ${durationText(keepEndedMs)} (--keep-ended).`,
      cleaning: 'They are removed; their usage stays.',
      collect,
    },
  ];
}
