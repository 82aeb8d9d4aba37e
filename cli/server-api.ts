// Waterbear's own additions to the AWS API (`/waterbear/v1/…`): signed requests, small answers.
import { createHash, createHmac } from 'node:crypto';

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
export const getSigned = (apiUrl: string, path: string, signer: Signer, nowMs: number): Promise<ApiAnswer> =>
  send({ method: 'GET', url: new URL(path, apiUrl) }, signer, nowMs);

/** The same with a JSON object. */
export const postSigned = (
  apiUrl: string,
  path: string,
  members: object,
  signer: Signer,
  nowMs: number,
): Promise<ApiAnswer> =>
  send({ method: 'POST', url: new URL(path, apiUrl), body: JSON.stringify(members) }, signer, nowMs);

export interface UnsignedRequest {
  method: 'GET' | 'POST';
  url: URL;
  /** Absent: none. */
  body?: string;
}

async function send(request: UnsignedRequest, signer: Signer, nowMs: number): Promise<ApiAnswer> {
  const { method, url, body } = request;
  const headers = signatureHeaders(request, signer, new Date(nowMs));
  const signal = AbortSignal.timeout(answerTimeoutMs);
  const response = await fetch(url, { method, headers, signal, ...(body === undefined ? {} : { body }) });
  return { status: response.status, body: await response.text() };
}

/** AWS Signature Version 4 of a request without query. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function signatureHeaders(
  { method, url, body = '' }: UnsignedRequest,
  signer: Signer,
  now: Date,
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
