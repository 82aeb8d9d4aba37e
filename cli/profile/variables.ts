// The environment that points AWS SDKs, CLIs and HTTPS clients at a server.
import type { ServerFacts } from '../../src/contract/server-facts.ts';

export type Variables = Readonly<Record<string, string>>;

/** Variables that would win over ours, or spoil them (a session token of another account goes into every signature). */
export const unsetVariables: readonly string[] = ['AWS_PROFILE', 'AWS_SESSION_TOKEN'];

export function clientVariables(facts: ServerFacts, caBundle: string, nodeCaFile: string): Variables {
  return {
    AWS_ENDPOINT_URL: facts.apiUrl,
    AWS_ENDPOINT_URL_LAMBDA_MICROVMS: facts.apiUrl,
    AWS_ENDPOINT_URL_S3: facts.s3Url,
    AWS_ACCESS_KEY_ID: facts.accessKeyId,
    AWS_SECRET_ACCESS_KEY: facts.secretAccessKey,
    AWS_REGION: facts.region,
    AWS_DEFAULT_REGION: facts.region,
    // Node adds to its own authorities; the others replace theirs and get the bundle with the system's in it.
    NODE_EXTRA_CA_CERTS: nodeCaFile,
    AWS_CA_BUNDLE: caBundle,
    CURL_CA_BUNDLE: caBundle,
    REQUESTS_CA_BUNDLE: caBundle,
    SSL_CERT_FILE: caBundle,
  };
}

/** Lines for a POSIX shell's `eval`. */
export function shellLines(variables: Variables): string {
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${shellQuote(value)}\n`);
  return `${exports.join('')}unset ${unsetVariables.join(' ')}\n`;
}

export const shellQuote = (value: string): string => `'${value.replaceAll("'", `'\\''`)}'`;
