// Debian's awscli 2.9 against our S3 endpoint: make a bucket, copy both ways (20 MiB goes multipart), list, head, remove.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AwsCli, openAwsCli } from '../support/awscli.ts';
import { alice, type S3Server, startS3Server } from './s3-server.ts';

let server: S3Server;
let cli: AwsCli;
beforeAll(async () => {
  server = await startS3Server();
  cli = await openAwsCli({ endpoint: server.endpoint, region: 'us-east-1', credentials: alice });
});
afterAll(async () => {
  expect(server.failures).toEqual([]);
  await server[Symbol.asyncDispose]();
  await cli[Symbol.asyncDispose]();
});

const aws = (...args: string[]): Promise<string> => cli.text(...args);

test('mb, cp, ls, head-object, rm', { timeout: 120_000 }, async () => {
  await aws('s3', 'mb', 's3://cli-bucket');
  const [small, big] = [randomBytes(1000), randomBytes(20 << 20)];
  const at = (name: string): string => join(cli.home, name);
  await writeFile(at('small'), small);
  await writeFile(at('big'), big);
  await aws('s3', 'cp', at('small'), 's3://cli-bucket/dir/small file+ü.zip');
  await aws('s3', 'cp', at('big'), 's3://cli-bucket/dir/big');
  await aws('s3', 'cp', 's3://cli-bucket/dir/small file+ü.zip', at('small-back'));
  await aws('s3', 'cp', 's3://cli-bucket/dir/big', at('big-back'));
  expect((await readFile(at('small-back'))).equals(small)).toBe(true);
  expect((await readFile(at('big-back'))).equals(big)).toBe(true);
  expect(await aws('s3', 'ls')).toContain('cli-bucket');
  expect(await aws('s3', 'ls', 's3://cli-bucket/')).toContain('PRE dir/');
  expect(await aws('s3', 'ls', 's3://cli-bucket/dir/')).toMatch(/20971520 big\n.* 1000 small file\+ü\.zip/);
  const head = JSON.parse(await aws('s3api', 'head-object', '--bucket', 'cli-bucket', '--key', 'dir/big'));
  expect(head).toMatchObject({ ContentLength: 20 << 20, ETag: expect.stringMatching(/-3"$/) });
  await aws('s3', 'rm', '--recursive', 's3://cli-bucket/dir/');
  await expect(aws('s3', 'ls', 's3://cli-bucket/dir/')).rejects.toThrow('exit code 1');
});

test('a presigned URL works as made, and not when changed or expired', async () => {
  const file = join(cli.home, 'shared');
  await writeFile(file, 'for you');
  await aws('s3api', 'create-bucket', '--bucket', 'presigned');
  await aws('s3api', 'put-object', '--bucket', 'presigned', '--key', 'a b', '--body', file);
  const url = (await aws('s3', 'presign', 's3://presigned/a b', '--expires-in', '60')).trim();
  const answer = await fetch(url);
  expect([answer.status, await answer.text()]).toEqual([200, 'for you']);
  expect((await fetch(url.replace('a%20b', 'a%20c'))).status).toBe(403);
  expect((await fetch(url.replace(/Expires=60/, 'Expires=61'))).status).toBe(403);
});
