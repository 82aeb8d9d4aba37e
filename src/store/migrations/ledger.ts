// The chain over closed usage intervals. Those of earlier versions enter it in the order in which they were closed.
import { type Kysely, sql } from 'kysely';
import { type ClosedInterval, chained, emptyLedger } from '../ledger.ts';

type Found = ClosedInterval & { rowid: number };

export async function chainUsage(db: Kysely<unknown>): Promise<void> {
  await sql`alter table usage_intervals add column seq integer`.execute(db);
  await sql`alter table usage_intervals add column checksum text`.execute(db);
  await sql`create unique index usage_by_seq on usage_intervals (seq) where seq is not null`.execute(db);
  await sql`
    create table usage_ledger (
      id integer primary key check (id = 1),
      count integer not null,
      checksum text not null
    ) strict`.execute(db);
  const { rows } = await sql<Found>`
    select rowid, microvm_id as "microvmId", kind, account, image_arn as "imageArn", memory_mib as "memoryMib",
      start_ms as "startMs", end_ms as "endMs"
    from usage_intervals where end_ms is not null order by end_ms, start_ms, rowid`.execute(db);
  let head = emptyLedger;
  for (const { rowid, ...interval } of rows) {
    head = chained(head, interval);
    await sql`update usage_intervals set seq = ${head.count}, checksum = ${head.checksum} where rowid = ${rowid}`.execute(
      db,
    );
  }
  await sql`insert into usage_ledger values (1, ${head.count}, ${head.checksum})`.execute(db);
}
