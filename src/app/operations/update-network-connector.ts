// UpdateNetworkConnector: replaces the whole configuration and, when given, the role; a worker finishes it.
import { isDeepStrictEqual } from 'node:util';
import type { UpdateNetworkConnectorRequest, UpdateNetworkConnectorResponse } from '../../contract/lambda-core.ts';
import { changeConnector } from '../../store/connectors.ts';
import { toJson } from '../../store/json.ts';
import type { ConnectorRow, Database } from '../../store/tables.ts';
import {
  checkConfiguration,
  connectorConflict,
  readConfiguration,
  updatedConnectorAnswer,
} from '../connector-answers.ts';
import { connectorExists, requireLiveConnector } from '../connector-checks.ts';
import type { AppContext } from '../context.ts';
import { once, type TokenUse } from '../idempotency.ts';
import type { Caller } from '../settings.ts';

const use: TokenUse = { operation: 'UpdateNetworkConnector', exists: connectorExists };

export async function updateNetworkConnector(
  app: AppContext,
  caller: Caller,
  { ClientToken: clientToken, ...input }: UpdateNetworkConnectorRequest,
): Promise<UpdateNetworkConnectorResponse> {
  if (input.Configuration) checkConfiguration(input.Configuration);
  const { resource } = await once(app, caller, use, { ...input, clientToken }, async (trx) => {
    const row = await requireLiveConnector(app, trx, caller, input.Identifier);
    await startUpdate(trx, row, input, app.clock.now());
    return row.connectorId;
  });
  const answer = updatedConnectorAnswer(await requireLiveConnector(app, app.db, caller, resource));
  void app.connectors.wake();
  return answer;
}

async function startUpdate(
  trx: Database,
  row: ConnectorRow,
  input: UpdateNetworkConnectorRequest,
  nowMs: number,
): Promise<void> {
  if (row.state !== 'ACTIVE' || row.updateStatus === 'InProgress') throw connectorConflict(row, 'updated');
  const configuration = input.Configuration ?? readConfiguration(row);
  const operatorRole = input.OperatorRole ?? row.operatorRole;
  const unchanged = isDeepStrictEqual(configuration, readConfiguration(row)) && operatorRole === row.operatorRole;
  await changeConnector(
    trx,
    row.connectorId,
    unchanged
      ? { updateStatus: 'Successful', updateReason: 'No configuration changes detected', modifiedAtMs: nowMs }
      : {
          ...{ configuration: toJson(configuration), operatorRole, version: row.version + 1 },
          ...{ updateStatus: 'InProgress', updateReason: null, modifiedAtMs: nowMs },
        },
  );
}
