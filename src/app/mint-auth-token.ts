// Endpoint tokens as the API hands them out: a map with one header.
import type { CreateMicrovmAuthTokenResponse } from '../contract/generated/operations.ts';
import type { TokenOrder } from '../contract/token-claims.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { invalid } from './caller-checks.ts';
import type { AppContext } from './context.ts';

const tokenHeader = 'X-aws-proxy-auth';

/** Throws `invalid_input` in the words of the live service. */
export function checkExpiration({ settings }: AppContext, minutes: number): void {
  const { maxTokenMinutes } = settings.limits;
  if (minutes <= maxTokenMinutes) return;
  throw invalid(`ExpirationMinutes ${minutes} exceeded max allowed of ${maxTokenMinutes}.`);
}

/** A token for the MicroVM's own host. */
export async function mintAuthToken(
  app: AppContext,
  { microvmId, host }: MicrovmRow,
  scope: Pick<TokenOrder, 'ports' | 'shell'>,
  minutes: number,
): Promise<CreateMicrovmAuthTokenResponse> {
  const expiresAtMs = app.clock.now() + minutes * 60_000;
  return { authToken: { [tokenHeader]: await app.mintToken({ microvmId, host, ...scope, expiresAtMs }) } };
}
