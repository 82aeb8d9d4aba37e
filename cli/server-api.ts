// Waterbear's own additions to the AWS API (`/waterbear/v1/…`): signed GET requests, small answers.
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
export async function getSigned(apiUrl: string, path: string, signer: Signer, nowMs: number): Promise<ApiAnswer> {
  const url = new URL(path, apiUrl);
  const headers = signatureHeaders(url, signer, new Date(nowMs));
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(answerTimeoutMs) });
  return { status: response.status, body: await response.text() };
}

/** AWS Signature Version 4 of a GET without query and body. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function signatureHeaders(url: URL, signer: Signer, now: Date): Record<string, string> {
  const stamp = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = stamp.slice(0, 8);
  const scope = `${day}/${signer.region}/lambda/aws4_request`;
  const names = 'host;x-amz-content-sha256;x-amz-date';
  const bodyHash = sha256('');
  const canonical = [
    'GET',
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
