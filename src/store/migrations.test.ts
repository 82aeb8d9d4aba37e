// A database of an earlier version is brought up to date with all that is in it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { expect, test } from 'vitest';
import { findBuild } from './builds.ts';
import { checkDatabaseFile } from './check-database.ts';
import { removeEndedBefore } from './ended-microvms.ts';
import { findIdempotency } from './idempotency.ts';
import { changeImage, findImage, removeImage } from './images.ts';
import { changeMicrovm, findMicrovm } from './microvms.ts';
import { migrations } from './migrations/index.ts';
import { openStore } from './open-store.ts';
import { readSecret } from './secrets.ts';
import { listUsage } from './usage.ts';

const imageArn = 'arn:aws:lambda:us-east-1:123456789012:microvm-image:demo';
const account = '123456789012';

const open = { seq: null, checksum: null };

const rows = `
  insert into images values ('${imageArn}', '${account}', 'demo', 'CREATED', '1.0', null, '{}', 1, 1);
  insert into image_versions values ('${imageArn}', '1.0', 1, 'SUCCESSFUL', 'ACTIVE', null, 512, '{}', 1, 1);
  insert into builds values ('b1', '${imageArn}', '1.0', '${account}', 'SUCCESSFUL', null, 'X86_64', 1, 2, 3, 1, 2);
  insert into microvms values ('m1', '${account}', 'h', '${imageArn}', '1.0', 'b1', 512, 'RUNNING', 'RUNNING', 2, null,
    null, null, null, 0, 60, '[]', '[]', null, null, 5, 6, null, null, null, '{}');
  insert into usage_intervals values ('m1', 'running', '${account}', '${imageArn}', 512, 6, null);
  insert into idempotency values ('${account}', 'CreateMicrovmImage', 't', 'f', '${imageArn}', 1);
  insert into idempotency values ('${account}', 'RunMicrovm', 't', 'f', 'm1', 1);`;

async function fill(path: string): Promise<void> {
  const sqlite = new SqliteDatabase(path);
  sqlite.pragma('foreign_keys = ON');
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: sqlite }) });
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } });
  const { error } = await migrator.migrateTo('005-idempotency');
  expect(error).toBeUndefined();
  sqlite.exec(rows);
  await db.destroy();
}

test('MicroVMs and their usage stay, tokens name builds, and images can be deleted', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'waterbear-migrations-'));
  try {
    const path = join(directory, 'waterbear.db');
    await fill(path);
    await using store = await openStore(path);
    const { db } = store;
    expect(await findImage(db, imageArn)).toMatchObject({ state: 'CREATED', lastOrdinal: 1, stateBefore: null });
    expect(await findIdempotency(db, { account, operation: 'CreateMicrovmImage', token: 't' })).toMatchObject({
      resource: 'b1',
    });
    expect(await findIdempotency(db, { account, operation: 'RunMicrovm', token: 't' })).toMatchObject({
      resource: 'm1',
    });
    await changeMicrovm(db, { microvmId: 'm1', generation: 2 }, { state: 'TERMINATED' }, 10);
    expect(await listUsage(db, 'm1')).toMatchObject([{ kind: 'running', startMs: 6, endMs: 10 }]);
    await changeImage(db, imageArn, { state: 'DELETING' });
    await removeImage(db, imageArn, 20);
    expect(await findBuild(db, 'b1')).toBeUndefined();
    expect(await findMicrovm(db, 'm1')).toMatchObject({ state: 'TERMINATED', buildId: 'b1', imageArn });
    expect(await readSecret(db, 'cursor')).toMatch(/^[0-9a-f]{64}$/);
    expect(await removeEndedBefore(db, Date.now(), 10)).toBe(0);
    await db.updateTable('microvms').set({ terminatedAtMs: 10 }).execute();
    expect(await removeEndedBefore(db, Date.now(), 10)).toBe(1);
    expect(await findMicrovm(db, 'm1')).toBeUndefined();
    expect(await findIdempotency(db, { account, operation: 'RunMicrovm', token: 't' })).toBeUndefined();
    // What it used stays, and no MicroVM has two intervals at a time.
    expect(await listUsage(db, 'm1')).toMatchObject([{ kind: 'running', startMs: 6, endMs: 10 }]);
    expect(checkDatabaseFile(path).problems).toEqual([]);
    const interval = {
      microvmId: 'm1',
      kind: 'running',
      account,
      imageArn,
      memoryMib: 1,
      startMs: 1,
      endMs: null,
    } as const;
    await db
      .insertInto('usageIntervals')
      .values({ ...interval, ...open })
      .execute();
    await expect(
      db
        .insertInto('usageIntervals')
        .values({ ...interval, ...open })
        .execute(),
    ).rejects.toThrow('UNIQUE');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
