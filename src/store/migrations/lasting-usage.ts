// What a MicroVM used stays in the books when its own row is removed: intervals refer to no row any more.
import { type Kysely, sql } from 'kysely';

interface Made {
  type: string;
  name: string;
  sql: string;
}

const reference = /\s*references\s+"?microvms(_next)?"?\s*\(\s*"?microvm_id"?\s*\)/i;

/** SQLite cannot drop a reference: the table is written anew as it is now, with all of its columns, indexes and triggers, but for that. */
export async function letUsageOutliveMicrovms(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<Made>`
    select type, name, sql from sqlite_master where tbl_name = 'usage_intervals' and sql is not null`.execute(db);
  const table = rows.find(({ type }) => type === 'table');
  if (!table || !reference.test(table.sql)) return;
  const next = table.sql
    .replace(reference, '')
    .replace(/^create table\s+"?usage_intervals"?/i, 'create table usage_next');
  await sql.raw(next).execute(db);
  await sql`insert into usage_next select * from usage_intervals`.execute(db);
  await sql`drop table usage_intervals`.execute(db);
  await sql`alter table usage_next rename to usage_intervals`.execute(db);
  for (const made of rows) if (made.type !== 'table') await sql.raw(made.sql).execute(db);
  await sql`create index microvms_ended on microvms (terminated_at_ms) where state = 'TERMINATED'`.execute(db);
  await sql`create index idempotency_by_resource on idempotency (resource)`.execute(db);
}
