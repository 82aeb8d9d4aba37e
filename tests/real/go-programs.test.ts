// The Go programs of guest/ and host/: vetted, and their own tests.
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { toolkitDirectory } from '../support/real-node.ts';

const root = resolve(import.meta.dirname, '../..');
const cache = (name: string): string => resolve(toolkitDirectory, 'cache', name);
const env = { GOCACHE: cache('go'), GOPATH: cache('gopath'), GOPROXY: 'off', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' };

test.each(['guest/agent', 'guest/builder', 'host/launch', 'host/seal'])('%s', async (program) => {
  const options = {
    cwd: resolve(root, program),
    env: { PATH: process.env.PATH ?? '', HOME: '/root', ...env },
    timeoutMs: 150_000,
  };
  await run('go', ['vet', './...'], options);
  const { stdout } = await run('go', ['test', './...'], options);
  expect(stdout).toMatch(/^(ok|\?)/);
});
