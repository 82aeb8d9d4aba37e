// CreateMicrovmAuthToken: a token for the MicroVM's own host, for some ports and some minutes.
import type {
  CreateMicrovmAuthTokenRequest,
  CreateMicrovmAuthTokenResponse,
  PortSpecification,
} from '../../contract/generated/operations.ts';
import type { PortRange } from '../../contract/token-claims.ts';
import { invalid } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { requireLive } from '../require-live.ts';
import type { Caller } from '../settings.ts';

const tokenHeader = 'X-aws-proxy-auth';

export async function createMicrovmAuthToken(
  app: AppContext,
  caller: Caller,
  input: CreateMicrovmAuthTokenRequest,
): Promise<CreateMicrovmAuthTokenResponse> {
  const { expirationInMinutes, allowedPorts } = input;
  const { maxTokenMinutes } = app.settings.limits;
  if (expirationInMinutes > maxTokenMinutes) {
    throw invalid(`ExpirationMinutes ${expirationInMinutes} exceeded max allowed of ${maxTokenMinutes}.`);
  }
  const ports = allowedPorts.some(({ allPorts }) => allPorts) ? 'all' : allowedPorts.map(rangeOf);
  const { row } = await requireLive(app, caller, input.microvmIdentifier, 'given a token');
  const expiresAtMs = app.clock.now() + expirationInMinutes * 60_000;
  const token = await app.mintToken({ microvmId: row.microvmId, host: row.host, ports, expiresAtMs });
  return { authToken: { [tokenHeader]: token } };
}

function rangeOf({ port, range }: PortSpecification): PortRange {
  const start = port ?? range?.startPort ?? 0;
  const end = port ?? range?.endPort ?? 0;
  if (start > end) throw invalid(`The port range ${start}-${end} ends before it starts.`);
  return { start, end };
}
