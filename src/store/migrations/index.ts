// All migrations in order. A name, once released, never changes its meaning.
import type { Migration } from 'kysely/migration';
import { createAccessTables } from './access.ts';
import { addBuildAttempts } from './build-attempts.ts';
import { createConnectorTables } from './connectors.ts';
import { createServerSecrets } from './cursors.ts';
import { allowDeletion } from './deletion.ts';
import { createImageTables } from './images.ts';
import { letUsageOutliveMicrovms } from './lasting-usage.ts';
import { addLeases } from './leases.ts';
import { chainUsage } from './ledger.ts';
import { createIdempotencyTable, createMicrovmTables, createUsageTables } from './microvms.ts';

/** Since then usage intervals are chained. */
export const ledgerMigration = '011-ledger';

export const migrations: Record<string, Migration> = {
  '001-access': { up: createAccessTables },
  '002-images': { up: createImageTables },
  '003-microvms': { up: createMicrovmTables },
  '004-usage': { up: createUsageTables },
  '005-idempotency': { up: createIdempotencyTable },
  '006-deletion': { up: allowDeletion },
  '007-connectors': { up: createConnectorTables },
  '008-cursors': { up: createServerSecrets },
  '009-leases': { up: addLeases },
  '010-build-attempts': { up: addBuildAttempts },
  [ledgerMigration]: { up: chainUsage },
  '020-lasting-usage': { up: letUsageOutliveMicrovms },
};
