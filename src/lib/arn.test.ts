import { expect, test } from 'vitest';
import { imageArn, newMicrovmId, parseArn } from './arn.ts';

test('an image ARN is taken apart again', () => {
  expect(parseArn(imageArn('us-east-1', '123456789012', 'demo'))).toEqual({
    partition: 'aws',
    service: 'lambda',
    region: 'us-east-1',
    account: '123456789012',
    resource: 'microvm-image:demo',
  });
});

test('text that is no ARN gives undefined', () => {
  for (const text of ['', 'demo', 'arn:aws:lambda', 'arn:aws:lambda:r:a:']) expect(parseArn(text)).toBeUndefined();
});

test('MicroVM ids carry the prefix of the service', () => {
  expect(newMicrovmId()).toMatch(/^microvm-[0-9a-f-]{36}$/);
});
