// Our signatures pass the server's own verification, which is proved against real SDKs; for another path or body they do not.
import { expect, test } from 'vitest';
import { verify } from '../src/api/sigv4/verify.ts';
import { ManualClock } from '../src/lib/manual-clock.ts';
import { signatureHeaders } from './server-api.ts';

const clock = new ManualClock();
const signer = { accessKeyId: 'AKIAX', secretAccessKey: 'secret', region: 'eu-west-1' };
const url = new URL('http://127.0.0.1:9100/waterbear/v1/builds/b-1/log');

function check(rawPath: string, signed?: { method: string; body: string }, body = signed?.body ?? '') {
  const headers = { host: url.host, ...signatureHeaders(url, signer, new Date(clock.now()), signed) };
  const request = {
    method: signed?.method ?? 'GET',
    rawPath,
    rawQuery: '',
    rawHeaders: Object.entries(headers).flat(),
    body: Buffer.from(body),
  };
  const keys = () => ({ secret: signer.secretAccessKey, account: '000000000000' });
  return verify(request, keys, { clock, regions: [signer.region], services: ['lambda'] });
}

test('a signature holds for the path and body it was made for and for no other', async () => {
  expect((await check(url.pathname)).accessKeyId).toBe(signer.accessKeyId);
  const post = { method: 'POST', body: '{"a":1}' };
  expect((await check(url.pathname, post)).accessKeyId).toBe(signer.accessKeyId);
  await expect(check(url.pathname, post, '{"a":2}')).rejects.toThrow();
  await expect(check('/waterbear/v1/info')).rejects.toThrow('does not match the signature you provided');
});
