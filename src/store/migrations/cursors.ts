// The secret that authenticates cursors of lists. Kept, so that a page can be followed up after a restart.
import { type Kysely, sql } from 'kysely';

export async function createServerSecrets(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table server_secrets (
      name text primary key,
      secret text not null
    ) strict`.execute(db);
  await sql`insert into server_secrets values ('cursor', lower(hex(randomblob(32))))`.execute(db);
}
