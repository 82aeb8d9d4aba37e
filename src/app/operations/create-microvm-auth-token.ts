// CreateMicrovmAuthToken: a token for the MicroVM's own host, for some ports and some minutes.
import type {
  CreateMicrovmAuthTokenRequest,
  CreateMicrovmAuthTokenResponse,
  PortSpecification,
} from '../../contract/generated/operations.ts';
import type { PortRange } from '../../contract/token-claims.ts';
import { invalid } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { checkExpiration, mintAuthToken } from '../mint-auth-token.ts';
import { requireLive } from '../require-live.ts';
import type { Caller } from '../settings.ts';

export async function createMicrovmAuthToken(
  app: AppContext,
  caller: Caller,
  { microvmIdentifier, expirationInMinutes, allowedPorts }: CreateMicrovmAuthTokenRequest,
): Promise<CreateMicrovmAuthTokenResponse> {
  checkExpiration(app, expirationInMinutes);
  const ports = allowedPorts.some(({ allPorts }) => allPorts) ? 'all' : allowedPorts.map(rangeOf);
  const { row } = await requireLive(app, caller, microvmIdentifier, 'given a token');
  return mintAuthToken(app, row, { ports }, expirationInMinutes);
}

function rangeOf({ port, range }: PortSpecification): PortRange {
  const start = port ?? range?.startPort ?? 0;
  const end = port ?? range?.endPort ?? 0;
  if (start > end) throw invalid(`The port range ${start}-${end} ends before it starts.`);
  return { start, end };
}
