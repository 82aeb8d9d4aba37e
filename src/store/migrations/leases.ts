// Until when a MicroVM is kept from sleeping by its idle policy.
import { type Kysely, sql } from 'kysely';

export async function addLeases(db: Kysely<unknown>): Promise<void> {
  await sql`alter table microvms add column lease_until_ms integer`.execute(db);
}
