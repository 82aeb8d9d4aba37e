// DeleteNetworkConnector: also one that is in use. Repeating it is harmless, by its id or ARN also when it is gone.
import type { NetworkConnector, NetworkConnectorIdentifier } from '../../contract/lambda-core.ts';
import { connectorTransitions, sourcesOf } from '../../contract/states.ts';
import { changeConnector } from '../../store/connectors.ts';
import { inTransaction } from '../../store/open-store.ts';
import { connectorAnswer, connectorConflict } from '../connector-answers.ts';
import { requireOwnConnector } from '../connector-checks.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';

export async function deleteNetworkConnector(
  app: AppContext,
  caller: Caller,
  { Identifier }: NetworkConnectorIdentifier,
): Promise<NetworkConnector> {
  const row = await inTransaction(app.db, async (trx) => {
    const found = await requireOwnConnector(app, trx, caller, Identifier);
    if (found.state === 'DELETING') return found;
    if (!sourcesOf(connectorTransitions, 'DELETING').includes(found.state)) throw connectorConflict(found, 'deleted');
    return changeConnector(trx, found.connectorId, { state: 'DELETING', modifiedAtMs: app.clock.now() });
  });
  void app.connectors.wake();
  return connectorAnswer(row);
}
