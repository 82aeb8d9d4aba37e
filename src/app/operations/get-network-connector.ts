// GetNetworkConnector: by ARN, id or name.
import type { GetNetworkConnectorResponse, NetworkConnectorIdentifier } from '../../contract/lambda-core.ts';
import { fullConnectorAnswer } from '../connector-answers.ts';
import { requireLiveConnector } from '../connector-checks.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';

export async function getNetworkConnector(
  app: AppContext,
  caller: Caller,
  { Identifier }: NetworkConnectorIdentifier,
): Promise<GetNetworkConnectorResponse> {
  return fullConnectorAnswer(await requireLiveConnector(app, app.db, caller, Identifier));
}
