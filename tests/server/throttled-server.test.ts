// Quotas of a whole server, met with the real SDK and its retries.
import { LambdaMicrovms } from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn } from '../../src/app/testing/test-app.ts';
import { startTestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

/** What the last of so many calls ends with. */
async function last(count: number, call: () => Promise<unknown>): Promise<unknown> {
  let error: unknown;
  for (let i = 0; i < count; i++) error = await call().catch((reason: unknown) => reason);
  return error;
}

test("twenty launches at once all succeed by the SDK's own retries", async () => {
  const it = await startTestServer({ driver: 'fake', profile: 'aws', memoryMib: 1 << 20, diskReserveMib: 0 });
  const { apiUrl: endpoint, region, credentials } = it.server;
  const lambda = new LambdaMicrovms({ endpoint, region, credentials });
  try {
    const { imageArn } = await it.build('app', zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
    const runs = Array.from({ length: 20 }, () => lambda.runMicrovm({ imageIdentifier: imageArn }));
    const attempts = (await Promise.all(runs)).map(({ $metadata }) => $metadata.attempts ?? 0);
    expect(Math.min(...attempts)).toBe(1);
    expect(Math.max(...attempts)).toBeGreaterThan(1);
    expect((await lambda.listMicrovms({})).items).toHaveLength(20);
  } finally {
    lambda.destroy();
    await it.close();
  }
});

test("the operator's quotas are in force and shown", async () => {
  const it = await startTestServer({ driver: 'fake', profile: 'aws', quotas: ['run-per-second=1', 'images=0'] });
  try {
    await expect(it.build('app', zipOf([{ name: 'Dockerfile', data: 'FROM scratch' }]))).rejects.toMatchObject({
      ...{ name: 'ServiceQuotaExceededException', quotaCode: 'microvm-images' },
    });
    const run = () => it.lambda.runMicrovm({ imageIdentifier: demoArn });
    expect(await last(1, run)).toMatchObject({ name: 'AccessDeniedException' });
    expect(await last(5, run)).toMatchObject({ name: 'ThrottlingException', quotaCode: 'run-per-second' });
  } finally {
    await it.close();
  }
});
