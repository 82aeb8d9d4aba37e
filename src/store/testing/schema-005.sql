-- A database as the version with migration 005 left it, with rows in every state. Never changed: it stands for data out there.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE IF NOT EXISTS "kysely_migration" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null);
INSERT INTO kysely_migration VALUES('001-access','2026-01-01T00:00:00.000Z');
INSERT INTO kysely_migration VALUES('002-images','2026-01-01T00:00:00.000Z');
INSERT INTO kysely_migration VALUES('003-microvms','2026-01-01T00:00:00.000Z');
INSERT INTO kysely_migration VALUES('004-usage','2026-01-01T00:00:00.000Z');
INSERT INTO kysely_migration VALUES('005-idempotency','2026-01-01T00:00:00.000Z');
CREATE TABLE IF NOT EXISTS "kysely_migration_lock" ("id" varchar(255) not null primary key, "is_locked" integer default 0 not null);
INSERT INTO kysely_migration_lock VALUES('migration_lock',0);
CREATE TABLE accounts (
      account text primary key,
      created_at_ms integer not null
    ) strict;
INSERT INTO accounts VALUES('123456789012',1767225600000);
INSERT INTO accounts VALUES('210987654321',1767225601000);
CREATE TABLE access_keys (
      access_key_id text primary key,
      account text not null references accounts (account),
      secret text not null,
      created_at_ms integer not null
    ) strict;
INSERT INTO access_keys VALUES('AKIAFIXTUREAAAAAAAAA','123456789012','secret-of-the-fixture',1767225600000);
CREATE TABLE images (
      image_arn text primary key,
      account text not null,
      name text not null,
      state text not null,
      latest_active_version text,
      latest_failed_version text,
      tags text not null,
      created_at_ms integer not null,
      updated_at_ms integer not null
    ) strict;
INSERT INTO images VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','123456789012','demo','UPDATED','1.0','2.0','{"team":"demo"}',1767225602000,1767225603000);
INSERT INTO images VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:new','123456789012','new','CREATING',NULL,NULL,'{"team":"new"}',1767225602000,1767225603000);
INSERT INTO images VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:queued','123456789012','queued','CREATING',NULL,NULL,'{"team":"queued"}',1767225602000,1767225603000);
INSERT INTO images VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:broken','123456789012','broken','CREATE_FAILED',NULL,'1.0','{"team":"broken"}',1767225602000,1767225603000);
CREATE TABLE image_versions (
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
    ) strict;
INSERT INTO image_versions VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0',1,'SUCCESSFUL','ACTIVE',NULL,512,'{"asked":{"baseImageArn":"arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1","buildRoleArn":"arn:aws:iam::123456789012:role/build","codeArtifact":{"uri":"s3://test-bucket/app.zip"},"egressNetworkConnectors":["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"],"resources":[{"minimumMemoryInMiB":512}]},"base":{"arn":"arn:aws:lambda:us-east-1:aws:microvm-image:debian-12-1","version":"1.0"},"architecture":"X86_64"}',1767225604000,1767225605000);
INSERT INTO image_versions VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','2.0',2,'FAILED','INACTIVE','CONTAINER_BUILD_FAILED: exit code 1',512,'{"asked":{"baseImageArn":"arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1","buildRoleArn":"arn:aws:iam::123456789012:role/build","codeArtifact":{"uri":"s3://test-bucket/app.zip"},"egressNetworkConnectors":["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"],"resources":[{"minimumMemoryInMiB":512}]},"base":{"arn":"arn:aws:lambda:us-east-1:aws:microvm-image:debian-12-1","version":"1.0"},"architecture":"X86_64"}',1767225604000,1767225605000);
INSERT INTO image_versions VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:new','1.0',1,'IN_PROGRESS','INACTIVE',NULL,512,'{"asked":{"baseImageArn":"arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1","buildRoleArn":"arn:aws:iam::123456789012:role/build","codeArtifact":{"uri":"s3://test-bucket/app.zip"},"egressNetworkConnectors":["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"],"resources":[{"minimumMemoryInMiB":512}]},"base":{"arn":"arn:aws:lambda:us-east-1:aws:microvm-image:debian-12-1","version":"1.0"},"architecture":"X86_64"}',1767225604000,1767225605000);
INSERT INTO image_versions VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:queued','1.0',1,'PENDING','INACTIVE',NULL,512,'{"asked":{"baseImageArn":"arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1","buildRoleArn":"arn:aws:iam::123456789012:role/build","codeArtifact":{"uri":"s3://test-bucket/app.zip"},"egressNetworkConnectors":["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"],"resources":[{"minimumMemoryInMiB":512}]},"base":{"arn":"arn:aws:lambda:us-east-1:aws:microvm-image:debian-12-1","version":"1.0"},"architecture":"X86_64"}',1767225604000,1767225605000);
INSERT INTO image_versions VALUES('arn:aws:lambda:us-east-1:123456789012:microvm-image:broken','1.0',1,'FAILED','INACTIVE','CONTAINER_BUILD_FAILED: exit code 1',512,'{"asked":{"baseImageArn":"arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1","buildRoleArn":"arn:aws:iam::123456789012:role/build","codeArtifact":{"uri":"s3://test-bucket/app.zip"},"egressNetworkConnectors":["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"],"resources":[{"minimumMemoryInMiB":512}]},"base":{"arn":"arn:aws:lambda:us-east-1:aws:microvm-image:debian-12-1","version":"1.0"},"architecture":"X86_64"}',1767225604000,1767225605000);
CREATE TABLE builds (
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
    ) strict;
INSERT INTO builds VALUES('b0000000-0000-4000-8000-000000000001','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','123456789012','SUCCESSFUL',NULL,'X86_64',1048576,2097152,4096,1767225604000,1767225605000);
INSERT INTO builds VALUES('b0000000-0000-4000-8000-000000000002','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','2.0','123456789012','FAILED','CONTAINER_BUILD_FAILED: exit code 1','X86_64',NULL,NULL,NULL,1767225604000,1767225605000);
INSERT INTO builds VALUES('b0000000-0000-4000-8000-000000000003','arn:aws:lambda:us-east-1:123456789012:microvm-image:new','1.0','123456789012','IN_PROGRESS',NULL,'X86_64',NULL,NULL,NULL,1767225604000,NULL);
INSERT INTO builds VALUES('b0000000-0000-4000-8000-000000000004','arn:aws:lambda:us-east-1:123456789012:microvm-image:queued','1.0','123456789012','PENDING',NULL,'X86_64',NULL,NULL,NULL,1767225604000,NULL);
INSERT INTO builds VALUES('b0000000-0000-4000-8000-000000000005','arn:aws:lambda:us-east-1:123456789012:microvm-image:broken','1.0','123456789012','FAILED','CONTAINER_BUILD_FAILED: exit code 1','X86_64',NULL,NULL,NULL,1767225604000,1767225605000);
CREATE TABLE microvms (
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
    ) strict;
INSERT INTO microvms VALUES('microvm-pending','123456789012','microvm-pending.vm.localhost','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','b0000000-0000-4000-8000-000000000001',512,'PENDING','RUNNING',1,NULL,NULL,60,600,1,28800,'["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:HTTP_INGRESS"]','["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"]',NULL,NULL,1767225700000,NULL,NULL,NULL,NULL,'{"launch":{"restore":2}}');
INSERT INTO microvms VALUES('microvm-running','123456789012','microvm-running.vm.localhost','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','b0000000-0000-4000-8000-000000000001',512,'RUNNING','RUNNING',2,NULL,NULL,60,600,1,28800,'["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:HTTP_INGRESS"]','["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"]',NULL,'payload',1767225700000,1767225701000,NULL,NULL,NULL,'{"launch":{"restore":2}}');
INSERT INTO microvms VALUES('microvm-suspending','123456789012','microvm-suspending.vm.localhost','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','b0000000-0000-4000-8000-000000000001',512,'SUSPENDING','SUSPENDED',3,NULL,NULL,60,600,1,28800,'["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:HTTP_INGRESS"]','["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"]',NULL,NULL,1767225700000,1767225701000,NULL,'idle',NULL,'{"launch":{"restore":2}}');
INSERT INTO microvms VALUES('microvm-suspended','123456789012','microvm-suspended.vm.localhost','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','b0000000-0000-4000-8000-000000000001',512,'SUSPENDED','SUSPENDED',8,NULL,NULL,60,600,1,28800,'["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:HTTP_INGRESS"]','["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"]',NULL,NULL,1767225700000,1767225701000,1767225740000,'requested',NULL,'{"launch":{"restore":2}}');
INSERT INTO microvms VALUES('microvm-terminating','123456789012','microvm-terminating.vm.localhost','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','b0000000-0000-4000-8000-000000000001',512,'TERMINATING','TERMINATED',3,NULL,NULL,60,600,1,28800,'["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:HTTP_INGRESS"]','["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"]',NULL,NULL,1767225700000,1767225701000,NULL,NULL,NULL,'{"launch":{"restore":2}}');
INSERT INTO microvms VALUES('microvm-terminated','123456789012','microvm-terminated.vm.localhost','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','b0000000-0000-4000-8000-000000000001',512,'TERMINATED','TERMINATED',4,'Success.',NULL,60,600,1,28800,'["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:HTTP_INGRESS"]','["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"]',NULL,NULL,1767225700000,1767225701000,NULL,NULL,1767225721000,'{"launch":{"restore":2}}');
INSERT INTO microvms VALUES('microvm-failed','123456789012','microvm-failed.vm.localhost','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo','1.0','b0000000-0000-4000-8000-000000000001',512,'TERMINATED','TERMINATED',2,'Run lifecycle hook returned HTTP status 500. It must return 200.',NULL,60,600,1,28800,'["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:HTTP_INGRESS"]','["arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS"]',NULL,NULL,1767225700000,NULL,NULL,NULL,1767225702000,'{"launch":{"restore":2}}');
CREATE TABLE usage_intervals (
      microvm_id text not null references microvms (microvm_id),
      kind text not null check (kind in ('running', 'suspended')),
      account text not null,
      image_arn text not null,
      memory_mib integer not null,
      start_ms integer not null,
      end_ms integer check (end_ms is null or end_ms >= start_ms)
    ) strict;
INSERT INTO usage_intervals VALUES('microvm-running','running','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225701000,NULL);
INSERT INTO usage_intervals VALUES('microvm-suspending','running','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225701000,NULL);
INSERT INTO usage_intervals VALUES('microvm-suspended','running','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225701000,1767225710000);
INSERT INTO usage_intervals VALUES('microvm-suspended','suspended','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225710000,1767225730000);
INSERT INTO usage_intervals VALUES('microvm-suspended','running','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225730000,1767225740000);
INSERT INTO usage_intervals VALUES('microvm-suspended','suspended','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225740000,NULL);
INSERT INTO usage_intervals VALUES('microvm-terminating','running','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225701000,1767225720000);
INSERT INTO usage_intervals VALUES('microvm-terminated','running','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225701000,1767225705000);
INSERT INTO usage_intervals VALUES('microvm-terminated','suspended','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225705000,1767225705000);
INSERT INTO usage_intervals VALUES('microvm-terminated','running','123456789012','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',512,1767225705000,1767225720000);
CREATE TABLE idempotency (
      account text not null,
      operation text not null,
      token text not null,
      fingerprint text not null,
      resource text not null,
      created_at_ms integer not null,
      primary key (account, operation, token)
    ) strict;
INSERT INTO idempotency VALUES('123456789012','CreateMicrovmImage','token-1','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','arn:aws:lambda:us-east-1:123456789012:microvm-image:demo',1767225602000);
INSERT INTO idempotency VALUES('123456789012','RunMicrovm','token-2','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','microvm-running',1767225700000);
CREATE INDEX builds_of_version on builds (image_arn, version);
CREATE INDEX builds_open on builds (account) where ended_at_ms is null;
CREATE INDEX microvms_by_start on microvms (account, started_at_ms, microvm_id);
CREATE INDEX microvms_live on microvms (state) where state <> 'TERMINATED';
CREATE UNIQUE INDEX usage_open on usage_intervals (microvm_id) where end_ms is null;
CREATE INDEX usage_of_microvm on usage_intervals (microvm_id, start_ms);
COMMIT;
