// Network connectors of the account's own.
import { sql } from 'kysely';
import { type ConnectorState, connectorTransitions, sourcesOf } from '../contract/states.ts';
import { Fault } from '../lib/errors.ts';
import type { ConnectorRow, Database } from './tables.ts';

export async function insertConnector(db: Database, row: ConnectorRow): Promise<void> {
  await db.insertInto('networkConnectors').values(row).execute();
}

/** By id; finds those that were deleted, too. */
export const findConnector = (db: Database, connectorId: string): Promise<ConnectorRow | undefined> =>
  db.selectFrom('networkConnectors').selectAll().where('connectorId', '=', connectorId).executeTakeFirst();

/** One that was not deleted, by its name. */
export const findConnectorByName = (db: Database, account: string, name: string): Promise<ConnectorRow | undefined> =>
  db
    .selectFrom('networkConnectors')
    .selectAll()
    .where('account', '=', account)
    .where('name', '=', name)
    .where('deletedAtMs', 'is', null)
    .executeTakeFirst();

export async function countConnectors(db: Database, account: string): Promise<number> {
  const { count } = await db
    .selectFrom('networkConnectors')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('account', '=', account)
    .where('deletedAtMs', 'is', null)
    .executeTakeFirstOrThrow();
  return count;
}

/** Rejects with `internal` when it was deleted, or when the change of state is not a legal one. */
export async function changeConnector(
  db: Database,
  connectorId: string,
  change: Partial<ConnectorRow>,
): Promise<ConnectorRow> {
  const { state } = change;
  let update = db
    .updateTable('networkConnectors')
    .set(change)
    .where('connectorId', '=', connectorId)
    .where('deletedAtMs', 'is', null);
  if (state !== undefined) update = update.where('state', 'in', sourcesOf(connectorTransitions, state));
  const row = await update.returningAll().executeTakeFirst();
  if (row) return row;
  throw new Fault('internal', { what: `Network connector ${connectorId} cannot become ${state ?? 'what was asked'}.` });
}

export interface ConnectorPosition {
  createdAtMs: number;
  connectorId: string;
}

/** Newest first; `after` is the last one of the page before. */
export function listConnectors(
  db: Database,
  query: { account: string; state: ConnectorState | undefined; after: ConnectorPosition | undefined; limit: number },
): Promise<ConnectorRow[]> {
  const { account, state, after, limit } = query;
  let select = db
    .selectFrom('networkConnectors')
    .selectAll()
    .where('account', '=', account)
    .where('deletedAtMs', 'is', null);
  if (state !== undefined) select = select.where('state', '=', state);
  if (after) {
    select = select.where(sql<boolean>`(created_at_ms, connector_id) < (${after.createdAtMs}, ${after.connectorId})`);
  }
  return select.orderBy('createdAtMs', 'desc').orderBy('connectorId', 'desc').limit(limit).execute();
}

/** What a worker has to finish: creations, updates and deletions. */
export const listOpenConnectors = (db: Database): Promise<ConnectorRow[]> =>
  db
    .selectFrom('networkConnectors')
    .selectAll()
    .where('deletedAtMs', 'is', null)
    .where((eb) => eb.or([eb('state', 'in', ['PENDING', 'DELETING']), eb('updateStatus', '=', 'InProgress')]))
    .orderBy('connectorId')
    .execute();
