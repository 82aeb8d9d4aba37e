// Our signature of a request passes the server's own verification, which is proved against real SDKs; for another path or body it does not.
import { expect, test } from 'vitest';
import { verify } from '../src/api/sigv4/verify.ts';
import { ManualClock } from '../src/lib/manual-clock.ts';
import { signatureHeaders } from './server-api.ts';

const clock = new ManualClock();
const signer = { accessKeyId: 'AKIAX', secretAccessKey: 'secret', region: 'eu-west-1' };
const url = new URL('http://127.0.0.1:9100/waterbear/v1/builds/b-1/log');

function check(rawPath: string, sent?: string, received = sent) {
  const method = sent === undefined ? 'GET' : 'POST';
  const unsigned = { method, url, ...(sent === undefined ? {} : { body: sent }) } as const;
  const headers = { host: url.host, ...signatureHeaders(unsigned, signer, new Date(clock.now())) };
  const request = {
    method,
    rawPath,
    rawQuery: '',
    rawHeaders: Object.entries(headers).flat(),
    body: Buffer.from(received ?? ''),
  };
  const keys = () => ({ secret: signer.secretAccessKey, account: '000000000000' });
  return verify(request, keys, { clock, regions: [signer.region], services: ['lambda'] });
}

test('the signature holds for the path it was made for and for no other', async () => {
  expect((await check(url.pathname)).accessKeyId).toBe(signer.accessKeyId);
  await expect(check('/waterbear/v1/info')).rejects.toThrow('does not match the signature you provided');
  expect((await check(url.pathname, '{"seconds":60}')).accessKeyId).toBe(signer.accessKeyId);
  await expect(check(url.pathname, '{"seconds":60}', '{"seconds":61}')).rejects.toThrow();
});
