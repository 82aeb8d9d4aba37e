// Images, their versions and the builds of those.
import { type Kysely, sql } from 'kysely';

export async function createImageTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table images (
      image_arn text primary key,
      account text not null,
      name text not null,
      state text not null,
      latest_active_version text,
      latest_failed_version text,
      tags text not null,
      created_at_ms integer not null,
      updated_at_ms integer not null
    ) strict`.execute(db);
  await sql`
    create table image_versions (
      image_arn text not null references images (image_arn),
      version text not null,
      ordinal integer not null,
      state text not null,
      status text not null,
      state_reason text,
      memory_mib integer not null,
      spec text not null,
      created_at_ms integer not null,
      updated_at_ms integer not null,
      primary key (image_arn, version)
    ) strict`.execute(db);
  await sql`
    create table builds (
      build_id text primary key,
      image_arn text not null,
      version text not null,
      account text not null,
      state text not null,
      state_reason text,
      architecture text not null,
      memory_snapshot_bytes integer,
      disk_snapshot_bytes integer,
      code_install_bytes integer,
      created_at_ms integer not null,
      ended_at_ms integer,
      foreign key (image_arn, version) references image_versions (image_arn, version)
    ) strict`.execute(db);
  await sql`create index builds_of_version on builds (image_arn, version)`.execute(db);
  await sql`create index builds_open on builds (account) where ended_at_ms is null`.execute(db);
}
