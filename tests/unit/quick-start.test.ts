// What a start does not wait for: modules that only one command needs, or that come along unasked.
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';

const repository = resolve(import.meta.dirname, '../..');

/** Imports `files` in a process of its own. Resolves with the packages and the modules of Node's that it has then. */
async function loadedBy(...files: string[]): Promise<{ packages: string[]; builtin: string[] }> {
  const program = `
    import { registerHooks } from 'node:module';
    const urls = [];
    registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
    for (const file of ${JSON.stringify(files.map((file) => join(repository, file)))}) await import(file);
    console.log(JSON.stringify({ urls, builtin: process.moduleLoadList }));
    process.exit();`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: repository });
  const { urls, builtin } = JSON.parse(stdout) as { urls: string[]; builtin: string[] };
  const packages = urls.flatMap((url) => url.match(/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []);
  return { packages: [...new Set(packages)], builtin };
}

const nodesFetch = 'NativeModule internal/deps/undici/undici';

test('commands load neither a server nor clients of one', { timeout: 60_000 }, async () => {
  const { packages, builtin } = await loadedBy('cli/commands/index.ts');
  expect(packages).toContain('zod');
  for (const name of ['@aws-sdk/client-s3', '@aws-sdk/client-lambda-microvms', 'fastify', 'kysely']) {
    expect(packages).not.toContain(name);
  }
  expect(builtin).not.toContain(nodesFetch);
});

test('a server does not load what makes certificates, nor its threads Node’s own fetch', {
  timeout: 60_000,
}, async () => {
  const { packages, builtin } = await loadedBy('src/main.ts', 'src/gateway/gateway.ts');
  expect(packages).toEqual(expect.arrayContaining(['fastify', 'kysely', 'undici']));
  expect(packages).not.toContain('@peculiar/x509');
  expect(builtin).not.toContain(nodesFetch);
});
