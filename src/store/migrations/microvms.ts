// MicroVMs, what they used, and the tokens that make creating calls repeatable.
import { type Kysely, sql } from 'kysely';

export async function createMicrovmTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table microvms (
      microvm_id text primary key,
      account text not null,
      host text not null unique,
      image_arn text not null,
      image_version text not null,
      build_id text not null references builds (build_id),
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
  await sql`create index microvms_by_start on microvms (account, started_at_ms, microvm_id)`.execute(db);
  await sql`create index microvms_live on microvms (state) where state <> 'TERMINATED'`.execute(db);
}

export async function createUsageTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table usage_intervals (
      microvm_id text not null references microvms (microvm_id),
      kind text not null check (kind in ('running', 'suspended')),
      account text not null,
      image_arn text not null,
      memory_mib integer not null,
      start_ms integer not null,
      end_ms integer check (end_ms is null or end_ms >= start_ms)
    ) strict`.execute(db);
  // The database itself refuses a second open interval of one MicroVM.
  await sql`create unique index usage_open on usage_intervals (microvm_id) where end_ms is null`.execute(db);
  await sql`create index usage_of_microvm on usage_intervals (microvm_id, start_ms)`.execute(db);
}

export async function createIdempotencyTable(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table idempotency (
      account text not null,
      operation text not null,
      token text not null,
      fingerprint text not null,
      resource text not null,
      created_at_ms integer not null,
      primary key (account, operation, token)
    ) strict`.execute(db);
}
