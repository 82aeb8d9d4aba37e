// CreateMicrovmShellAuthToken: a token for the shell of a MicroVM that was launched with SHELL_INGRESS. It opens no port of the application.
import type {
  CreateMicrovmShellAuthTokenRequest,
  CreateMicrovmShellAuthTokenResponse,
} from '../../contract/generated/operations.ts';
import { managedConnectorArn } from '../../lib/arn.ts';
import { fromJson } from '../../store/json.ts';
import { invalid } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { checkExpiration, mintAuthToken } from '../mint-auth-token.ts';
import { requireLive } from '../require-live.ts';
import type { Caller } from '../settings.ts';

export async function createMicrovmShellAuthToken(
  app: AppContext,
  caller: Caller,
  { microvmIdentifier, expirationInMinutes }: CreateMicrovmShellAuthTokenRequest,
): Promise<CreateMicrovmShellAuthTokenResponse> {
  checkExpiration(app, expirationInMinutes);
  const { row } = await requireLive(app, caller, microvmIdentifier, 'given a token');
  if (!fromJson(row.ingressConnectors).includes(managedConnectorArn(app.settings.region, 'SHELL_INGRESS'))) {
    throw invalid('Shell access requires SHELL_INGRESS network connector to be configured on the MicroVM.');
  }
  return mintAuthToken(app, row, { ports: [], shell: true }, expirationInMinutes);
}
