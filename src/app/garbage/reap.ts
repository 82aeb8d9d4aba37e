// Reaping on request: what is named, or all that holds nobody's work, judged anew right before it is touched.
import type { Discarded } from '../../contract/inventory.ts';
import { describe } from '../../lib/errors.ts';
import { changeImageVersion } from '../../store/image-versions.ts';
import { refreshLatestVersions } from '../../store/images.ts';
import { inTransaction } from '../../store/open-store.ts';
import type { AppContext } from '../context.ts';
import { hearEnd, requestEnd } from '../end-microvm.ts';
import { sleepsAtRest, survey } from './find-orphans.ts';
import type { Orphan } from './orphan.ts';

export type ReapOrder = { ids: readonly string[] } | { all: true };

export interface Reaping {
  reaped: Discarded[];
  /** There was more than one request may do: ask again. */
  more: boolean;
}

/** The host looks at all of its things before each of these. */
const together = 20;
/** A request is cut off after a minute. */
export const budgetMs = 30_000;

/** Answers for each one that was named; of `all`, for those that were orphans and hold nobody's work. */
export async function reapOrphans(app: AppContext, order: ReapOrder): Promise<Reaping> {
  const endMs = app.clock.elapsed() + budgetMs;
  const { orphans } = await survey(app);
  const isNamed = 'ids' in order ? new Set(order.ids) : undefined;
  const wanted = orphans.filter(({ id, holdsState }) => (isNamed ? isNamed.has(id) : !holdsState));
  const reaped: Discarded[] = [];
  while (wanted.length > 0 && app.clock.elapsed() < endMs)
    reaped.push(...(await reap(app, wanted.splice(0, together))));
  const known = new Set(orphans.map(({ id }) => id));
  const strangers = [...(isNamed ?? [])].filter((id) => !known.has(id));
  const why = 'It is not an orphan now.';
  reaped.push(...strangers.map((id) => ({ id, done: false, why, bytes: 0 })));
  return { reaped, more: wanted.length > 0 };
}

/** Just judged to be orphans. One that cannot be reaped says why; the others are not stopped by it. */
export async function reap(app: AppContext, orphans: readonly Orphan[]): Promise<Discarded[]> {
  const isRecord = ({ kind }: Orphan): boolean => kind === 'record' || kind === 'version';
  const things = orphans.filter((orphan) => !isRecord(orphan)).map(({ id }) => id);
  const done = things.length === 0 ? [] : await app.node.discard(things);
  for (const orphan of orphans.filter(isRecord)) done.push(await settleRecord(app, orphan));
  for (const one of done) app.log.warn('orphan.reaped', { ...one });
  return done;
}

async function settleRecord(app: AppContext, orphan: Orphan): Promise<Discarded> {
  const { id, bytes } = orphan;
  try {
    const why = orphan.kind === 'record' ? await endRecord(app, orphan) : await deactivate(app, orphan);
    return { id, bytes, done: why === undefined, ...(why === undefined ? {} : { why }) };
  } catch (error) {
    return { id, bytes, done: false, why: describe(error) };
  }
}

async function endRecord(app: AppContext, { microvmId = '' }: Orphan): Promise<string | undefined> {
  const vm = app.index.get(microvmId);
  if (!vm) return 'It has ended already.';
  const what = 'Its host does not have it any more; its record was cleaned up on request.';
  if (sleepsAtRest(app, vm.row)) {
    await requestEnd(app, vm, what);
    return undefined;
  }
  if (app.node.list().some((one) => one.microvmId === microvmId)) return 'Its host has it again.';
  await hearEnd(app, vm, { cause: 'host_restarted', what });
  return undefined;
}

async function deactivate(app: AppContext, { where }: Orphan): Promise<undefined> {
  const [imageArn = '', version = ''] = where.split('@');
  await inTransaction(app.db, async (trx) => {
    await changeImageVersion(trx, { imageArn, version }, { status: 'INACTIVE', updatedAtMs: app.clock.now() });
    await refreshLatestVersions(trx, imageArn);
  });
}
