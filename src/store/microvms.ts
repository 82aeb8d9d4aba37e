// MicroVMs: every change of state is one compare-and-set and carries its usage intervals with it.
import { sql } from 'kysely';
import { microvmTransitions, sourcesOf } from '../contract/states.ts';
import { inTransaction } from './open-store.ts';
import type { Database, MicrovmRow } from './tables.ts';
import { recordUsage } from './usage.ts';

/** What may change after a MicroVM was created. */
export type MicrovmChange = Partial<
  Pick<
    MicrovmRow,
    | 'state'
    | 'wish'
    | 'stateReason'
    | 'launchedAtMs'
    | 'suspendedAtMs'
    | 'suspendCause'
    | 'leaseUntilMs'
    | 'terminatedAtMs'
    | 'report'
  >
>;

export async function insertMicrovm(db: Database, row: MicrovmRow): Promise<void> {
  await inTransaction(db, async (trx) => {
    await trx.insertInto('microvms').values(row).execute();
    await recordUsage(trx, row, row.startedAtMs);
  });
}

/**
 * Applies `change` if the row still has this generation and the state change is legal, and records the usage with it.
 * Resolves with the new row, or undefined when nothing was written.
 */
export function changeMicrovm(
  db: Database,
  { microvmId, generation }: Pick<MicrovmRow, 'microvmId' | 'generation'>,
  change: MicrovmChange,
  atMs: number,
): Promise<MicrovmRow | undefined> {
  return inTransaction(db, async (trx) => {
    let update = trx
      .updateTable('microvms')
      .set({ ...change, generation: generation + 1 })
      .where('microvmId', '=', microvmId)
      .where('generation', '=', generation);
    const { state } = change;
    if (state !== undefined) update = update.where('state', 'in', [state, ...sourcesOf(microvmTransitions, state)]);
    const row = await update.returningAll().executeTakeFirst();
    if (row && state !== undefined) await recordUsage(trx, row, atMs);
    return row;
  });
}

/** Raises the generation above `above`, and changes nothing else. Resolves with the new row. */
export function raiseGeneration(db: Database, microvmId: string, above: number): Promise<MicrovmRow | undefined> {
  return db
    .updateTable('microvms')
    .set({ generation: above + 1 })
    .where('microvmId', '=', microvmId)
    .where('generation', '<=', above)
    .returningAll()
    .executeTakeFirst();
}

export const findMicrovm = (db: Database, microvmId: string): Promise<MicrovmRow | undefined> =>
  db.selectFrom('microvms').selectAll().where('microvmId', '=', microvmId).executeTakeFirst();

/** Everything that has not ended. */
export const listLiveMicrovms = (db: Database): Promise<MicrovmRow[]> =>
  db.selectFrom('microvms').selectAll().where('state', '<>', 'TERMINATED').orderBy('startedAtMs').execute();

/** Configured memory of everything of an account that has not ended. */
export async function sumLiveMemoryMib(db: Database, account: string): Promise<number> {
  const { sum } = await db
    .selectFrom('microvms')
    .select((eb) => eb.fn.sum<number | null>('memoryMib').as('sum'))
    .where('account', '=', account)
    .where('state', '<>', 'TERMINATED')
    .executeTakeFirstOrThrow();
  return sum ?? 0;
}

/** MicroVMs of an image, or of one version of it, that have not ended; `lasting` leaves out those that are being ended. */
export async function countLiveMicrovms(
  db: Database,
  of: { imageArn: string; version?: string },
  which: 'all' | 'lasting',
): Promise<number> {
  let select = db
    .selectFrom('microvms')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('imageArn', '=', of.imageArn)
    .where('state', '<>', 'TERMINATED');
  if (of.version !== undefined) select = select.where('imageVersion', '=', of.version);
  if (which === 'lasting') select = select.where('wish', '<>', 'TERMINATED');
  return (await select.executeTakeFirstOrThrow()).count;
}

export interface MicrovmPosition {
  startedAtMs: number;
  microvmId: string;
}

export interface MicrovmQuery {
  account: string;
  imageArn?: string | undefined;
  imageVersion?: string | undefined;
  /** The last one of the page before. */
  after?: MicrovmPosition | undefined;
  limit: number;
}

/** Newest first. */
export function listMicrovms(db: Database, query: MicrovmQuery): Promise<MicrovmRow[]> {
  const { imageArn, imageVersion, after } = query;
  let select = db.selectFrom('microvms').selectAll().where('account', '=', query.account);
  if (imageArn !== undefined) select = select.where('imageArn', '=', imageArn);
  if (imageVersion !== undefined) select = select.where('imageVersion', '=', imageVersion);
  if (after) {
    select = select.where(sql<boolean>`(started_at_ms, microvm_id) < (${after.startedAtMs}, ${after.microvmId})`);
  }
  return select.orderBy('startedAtMs', 'desc').orderBy('microvmId', 'desc').limit(query.limit).execute();
}
