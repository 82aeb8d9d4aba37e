// Images and versions can be deleted: ended MicroVMs outlive the builds they came from, numbers of versions are not given twice, and a client token
// names the build it made, so that it is known when that is gone.
import { type Kysely, sql } from 'kysely';

export async function allowDeletion(db: Kysely<unknown>): Promise<void> {
  await sql`alter table images add column last_ordinal integer not null default 1`.execute(db);
  await sql`alter table images add column state_before text`.execute(db);
  await sql`
    update images set last_ordinal = coalesce(
      (select max(ordinal) from image_versions where image_versions.image_arn = images.image_arn), 1)`.execute(db);
  await sql`create index images_by_creation on images (account, created_at_ms, image_arn)`.execute(db);
  await sql`create index images_deleting on images (state) where state = 'DELETING'`.execute(db);
  await sql`create index versions_deleting on image_versions (state) where state = 'DELETING'`.execute(db);
  await sql`
    create table deleted_images (
      image_arn text primary key,
      deleted_at_ms integer not null
    ) strict`.execute(db);
  await sql`
    update idempotency set resource = coalesce(
      (select build_id from builds where builds.image_arn = resource and builds.version = '1.0'), resource)
    where operation = 'CreateMicrovmImage'`.execute(db);
  await detachMicrovms(db);
}

/** SQLite cannot drop a reference: both tables are written anew, the referring one first out of the way. */
async function detachMicrovms(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table microvms_next (
      microvm_id text primary key,
      account text not null,
      host text not null unique,
      image_arn text not null,
      image_version text not null,
      build_id text not null,
      memory_mib integer not null,
      state text not null,
      wish text not null,
      generation integer not null,
      state_reason text,
      execution_role_arn text,
      max_idle_seconds integer,
      suspended_seconds integer,
      auto_resume integer not null,
      maximum_duration_seconds integer not null,
      ingress_connectors text not null,
      egress_connectors text not null,
      logging text,
      run_hook_payload text,
      started_at_ms integer not null,
      launched_at_ms integer,
      suspended_at_ms integer,
      suspend_cause text,
      terminated_at_ms integer,
      report text not null
    ) strict`.execute(db);
  await sql`insert into microvms_next select * from microvms`.execute(db);
  await sql`
    create table usage_next (
      microvm_id text not null references microvms_next (microvm_id),
      kind text not null check (kind in ('running', 'suspended')),
      account text not null,
      image_arn text not null,
      memory_mib integer not null,
      start_ms integer not null,
      end_ms integer check (end_ms is null or end_ms >= start_ms)
    ) strict`.execute(db);
  await sql`insert into usage_next select * from usage_intervals`.execute(db);
  await sql`drop table usage_intervals`.execute(db);
  await sql`drop table microvms`.execute(db);
  await sql`alter table microvms_next rename to microvms`.execute(db);
  await sql`alter table usage_next rename to usage_intervals`.execute(db);
  await sql`create index microvms_by_start on microvms (account, started_at_ms, microvm_id)`.execute(db);
  await sql`create index microvms_live on microvms (image_arn) where state <> 'TERMINATED'`.execute(db);
  await sql`create unique index usage_open on usage_intervals (microvm_id) where end_ms is null`.execute(db);
  await sql`create index usage_of_microvm on usage_intervals (microvm_id, start_ms)`.execute(db);
}
