// Accounts and the keys that sign for them.
import { type Kysely, sql } from 'kysely';

export async function createAccessTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table accounts (
      account text primary key,
      created_at_ms integer not null
    ) strict`.execute(db);
  await sql`
    create table access_keys (
      access_key_id text primary key,
      account text not null references accounts (account),
      secret text not null,
      created_at_ms integer not null
    ) strict`.execute(db);
}
