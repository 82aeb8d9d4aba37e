// How often a build was begun: one that keeps ending the server is not begun for ever.
import { type Kysely, sql } from 'kysely';

export async function addBuildAttempts(db: Kysely<unknown>): Promise<void> {
  await sql`alter table builds add column attempts integer not null default 0`.execute(db);
}
