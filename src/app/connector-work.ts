// Finishes what was asked of network connectors: creations, updates, deletions. What a connector leads to is not made yet, so each takes
// one write; a crash before it leaves a row that the next run takes up.
import { changeConnector, listOpenConnectors } from '../store/connectors.ts';
import type { ConnectorRow } from '../store/tables.ts';
import { actOnEach } from './background.ts';
import type { AppContext } from './context.ts';

/** Resolves with whether something is left: never. */
export async function finishConnectors(app: AppContext): Promise<boolean> {
  await actOnEach(await listOpenConnectors(app.db), async (row) => {
    await changeConnector(app.db, row.connectorId, nextOf(row, app.clock.now()));
    app.log.info('connector.settled', { arn: row.arn, from: row.state });
  });
  return false;
}

function nextOf({ state }: ConnectorRow, nowMs: number): Partial<ConnectorRow> {
  if (state === 'DELETING') return { deletedAtMs: nowMs };
  if (state === 'PENDING') return { state: 'ACTIVE', stateReason: 'Initial creation', modifiedAtMs: nowMs };
  return { updateStatus: 'Successful', modifiedAtMs: nowMs };
}
