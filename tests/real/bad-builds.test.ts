// What a user who hands over something broken gets to read. Each case is a build through the API.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

let it: TestServer;
beforeAll(async () => {
  it = await startTestServer();
});
afterAll(() => it?.close());

const base = 'FROM localhost/waterbear/python:3\n';
const dockerfile = (text: string): Buffer => zipOf([{ name: 'Dockerfile', data: base + text }]);

test.each([
  ['no-dockerfile', () => zipOf([{ name: 'app.py', data: '' }]), /ARCHIVE_DOCKERFILE_NOT_FOUND/],
  ['not-a-zip', () => Buffer.from('this is no zip'), /ARCHIVE_INVALID/],
  [
    'climbs-out',
    () =>
      zipOf([
        { name: 'Dockerfile', data: base },
        { name: '../../etc/cron.d/x', data: 'x' },
      ]),
    /ARCHIVE_INVALID.*\.\./s,
  ],
  [
    'bomb',
    () =>
      zipOf([
        { name: 'Dockerfile', data: base },
        { name: 'zeros', data: Buffer.alloc(300 << 20) },
      ]),
    /ARCHIVE_INVALID.*bomb/s,
  ],
  ['broken', () => dockerfile('RUN false\nCMD ["true"]\n'), /CONTAINER_BUILD_FAILED/],
  ['no-command', () => dockerfile(''), /CONTAINER_BUILD_FAILED.*CMD/s],
  [
    'unknown-base',
    () => zipOf([{ name: 'Dockerfile', data: 'FROM localhost/nobody/nothing:1\nCMD ["x"]\n' }]),
    /CONTAINER_BUILD_FAILED.*localhost\/waterbear/s,
  ],
] as const)('%s', async (name, zip, reason) => {
  const result = await it.build(name, zip());
  expect(result).toMatchObject({ state: 'FAILED', status: 'INACTIVE' });
  expect(result.reason).toMatch(reason);
});

test('an artifact that is not there', async () => {
  const missing = { codeArtifact: { uri: 's3://test-bucket/missing.zip' } };
  expect((await it.build('missing-key', Buffer.from('x'), missing)).reason).toContain('S3_NO_SUCH_KEY');
  const bucket = { codeArtifact: { uri: 's3://no-such-bucket/x.zip' } };
  expect((await it.build('missing-bucket', Buffer.from('x'), bucket)).reason).toContain('S3_NO_SUCH_BUCKET');
});

test('an application that exits before it is ready', async () => {
  const result = await it.build(
    'exits',
    dockerfile(`CMD ["python3", "-c", "print('goodbye'); raise SystemExit(3)"]\n`),
  );
  expect(result.state).toBe('FAILED');
  expect(result.reason).toMatch(/Exit Code: 3.*goodbye/s);
});

test('a command that does not exist', async () => {
  const result = await it.build('no-such-command', dockerfile('CMD ["/no/such/program"]\n'));
  expect(result).toMatchObject({ state: 'FAILED' });
  expect(result.reason).toContain('/no/such/program');
});

test('an application that never gets ready', async () => {
  const hooks = { port: 9000, microvmImageHooks: { ready: 'ENABLED', readyTimeoutInSeconds: 3 } } as const;
  const result = await it.build('never-ready', dockerfile('CMD ["sleep", "1000"]\n'), { hooks });
  expect(result).toMatchObject({ state: 'FAILED' });
  expect(result.reason).toContain('Ready hook invocation timed out after PT3S');
});

test('an unknown image cannot be launched', async () => {
  const imageIdentifier = 'arn:aws:lambda:us-east-1:000000000000:microvm-image:nobody';
  await expect(it.run(imageIdentifier)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});
