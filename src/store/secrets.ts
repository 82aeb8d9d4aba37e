// Secrets of the server itself, made with the database.
import type { Database } from './tables.ts';

/** 64 hexadecimal digits. */
export async function readSecret(db: Database, name: 'cursor'): Promise<string> {
  const { secret } = await db
    .selectFrom('serverSecrets')
    .select('secret')
    .where('name', '=', name)
    .executeTakeFirstOrThrow();
  return secret;
}
