// Network connectors of the account's own. One that was deleted stays as a row, so that deleting it again succeeds.
import { type Kysely, sql } from 'kysely';

export async function createConnectorTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table network_connectors (
      connector_id text primary key,
      arn text not null unique,
      account text not null,
      name text not null,
      state text not null,
      state_reason text,
      configuration text not null,
      operator_role text not null,
      version integer not null,
      update_status text,
      update_reason text,
      tags text not null,
      created_at_ms integer not null,
      modified_at_ms integer not null,
      deleted_at_ms integer
    ) strict`.execute(db);
  await sql`
    create unique index connectors_by_name on network_connectors (account, name) where deleted_at_ms is null`.execute(
    db,
  );
  await sql`
    create index connectors_by_creation on network_connectors (account, created_at_ms, connector_id)`.execute(db);
  await sql`
    create index connectors_open on network_connectors (state)
    where deleted_at_ms is null and (state in ('PENDING', 'DELETING') or update_status = 'InProgress')`.execute(db);
}
