// What people read when something failed: what happened, why, what to do next. Stack traces only on request.
import { Fault } from '../src/lib/errors.ts';

/** One or more lines; with `debug`, the stack and every cause below them. */
export function explain(error: unknown, debug = false): string {
  const lines = [`error: ${sentence(error)}`];
  if (debug) lines.push('', ...traces(error));
  return lines.join('\n');
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof Fault) return error.message;
  const code = networkCode(error);
  if (code !== undefined) return `${networkText(code)} (${reason(error)})`;
  if (error.name === 'CredentialsProviderError') {
    return 'There are no AWS credentials. Run: eval "$(waterbear env)"';
  }
  return '$metadata' in error ? awsText(error) : error.message || error.name;
}

/** An answer of the service, with the request id to look for in the server's log. */
function awsText(error: Error): string {
  const { $metadata: metadata } = error as Error & { $metadata?: { requestId?: string; httpStatusCode?: number } };
  const facts = [
    metadata?.httpStatusCode === undefined ? '' : `HTTP ${metadata.httpStatusCode}`,
    metadata?.requestId === undefined ? '' : `request ${metadata.requestId}`,
  ].filter((fact) => fact !== '');
  return `${error.name}: ${error.message}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}`;
}

/** `ECONNREFUSED` and its like, also from inside of an AggregateError or a cause. */
function networkCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === 'string' && code in networkTexts) return code;
  if (error instanceof AggregateError) return error.errors.map(networkCode).find((found) => found !== undefined);
  return networkCode(error.cause);
}

const networkTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Nothing answers at that address. Is "waterbear serve" running there?',
  ECONNRESET: 'The connection was cut by the other side.',
  ENOTFOUND: 'That host name is not known to this machine.',
  ETIMEDOUT: 'The other side did not answer in time.',
  SELF_SIGNED_CERT_IN_CHAIN: 'The local certificate authority is not trusted here. Run: eval "$(waterbear env)"',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'The local certificate authority is not trusted here. Run: eval "$(waterbear env)"',
};

const networkText = (code: string): string => networkTexts[code] ?? code;

function reason(error: Error): string {
  if (error.message !== '') return error.message;
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  return inner instanceof Error ? inner.message : error.name;
}

function traces(error: unknown): string[] {
  const found: string[] = [];
  for (let each = error; each instanceof Error && found.length < 8; each = each.cause) found.push(each.stack ?? '');
  return found;
}
