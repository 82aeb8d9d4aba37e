// Waterbear's own additions to the AWS API (`/waterbear/v1/…`): signed requests, small answers.
import { createHash, createHmac } from 'node:crypto';
import { Fault } from '../src/lib/errors.ts';
import { printableLine } from '../src/lib/printable.ts';

export interface Signer {
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
}

export interface ApiAnswer {
  status: number;
  body: string;
}

const answerTimeoutMs = 10_000;

/** `path` holds letters, digits, `-`, `_`, `.` and `/` only, so that no form of encoding changes it. */
export async function getSigned(
  apiUrl: string,
  path: string,
  signer: Signer,
  nowMs: number,
  timeoutMs = answerTimeoutMs,
): Promise<ApiAnswer> {
  const url = new URL(path, apiUrl);
  return send(url, { headers: signatureHeaders(url, signer, new Date(nowMs)) }, timeoutMs);
}

/** As `getSigned`; `content` is sent as JSON. */
async function postSigned(
  apiUrl: string,
  path: string,
  content: unknown,
  signer: Signer,
  nowMs: number,
  timeoutMs: number,
): Promise<ApiAnswer> {
  const url = new URL(path, apiUrl);
  const body = JSON.stringify(content);
  const headers = signatureHeaders(url, signer, new Date(nowMs), { method: 'POST', body });
  return send(url, { method: 'POST', body, headers: { ...headers, 'content-type': 'application/json' } }, timeoutMs);
}

/** Posts to a running server and resolves with what it answers. Rejects with what the server says otherwise. */
export async function askServer(
  server: Signer & { apiUrl: string },
  path: string,
  content: unknown,
  nowMs: number,
  timeoutMs = answerTimeoutMs,
): Promise<Record<string, unknown>> {
  return membersOf(await postSigned(server.apiUrl, path, content, server, nowMs, timeoutMs));
}

/** The members of a good answer. Throws what the server says of another one. */
export function membersOf({ status, body }: ApiAnswer): Record<string, unknown> {
  if (status === 200) return JSON.parse(body) as Record<string, unknown>;
  const code = status === 404 ? 'not_found' : status < 500 ? 'invalid_input' : 'internal';
  throw new Fault(code, { what: messageIn(body, status) });
}

function messageIn(body: string, status: number): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    if (typeof message === 'string') return printableLine(message, 1_000);
  } catch {
    // Then it is not our server; its status is all that can be said.
  }
  return `The server answered ${status}.`;
}

async function send(url: URL, request: RequestInit, timeoutMs = answerTimeoutMs): Promise<ApiAnswer> {
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(timeoutMs) });
  return { status: response.status, body: await response.text() };
}

/** AWS Signature Version 4 of a request without query. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function signatureHeaders(
  url: URL,
  signer: Signer,
  now: Date,
  { method, body } = { method: 'GET', body: '' },
): Record<string, string> {
  const stamp = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = stamp.slice(0, 8);
  const scope = `${day}/${signer.region}/lambda/aws4_request`;
  const names = 'host;x-amz-content-sha256;x-amz-date';
  const bodyHash = sha256(body);
  const canonical = [
    method,
    url.pathname,
    '',
    `host:${url.host}`,
    `x-amz-content-sha256:${bodyHash}`,
    `x-amz-date:${stamp}`,
    '',
    names,
    bodyHash,
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n');
  const steps = [day, signer.region, 'lambda', 'aws4_request'];
  const key = steps.reduce<Buffer>(hmac, Buffer.from(`AWS4${signer.secretAccessKey}`));
  const signature = hmac(key, toSign).toString('hex');
  return {
    'x-amz-date': stamp,
    'x-amz-content-sha256': bodyHash,
    authorization: `AWS4-HMAC-SHA256 Credential=${signer.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
