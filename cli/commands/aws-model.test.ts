// `waterbear aws-model`: what it writes, what it leaves alone, and what it says when it cannot.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { operations } from '../../src/contract/generated/operations.ts';
import { coreOperations } from '../../src/contract/lambda-core.ts';
import { runProgram } from '../program.ts';
import { commands } from './index.ts';

let home = '';
let model = '';
let pages = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'aws-model-'));
  const directory = join(home, '.aws/models/lambda-microvms/2025-09-09');
  [model, pages] = [join(directory, 'service-2.json'), join(directory, 'paginators-1.json')];
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function run(...args: string[]) {
  const said = { out: '', err: '' };
  const output = (name: 'out' | 'err') => ({
    isTty: false,
    write: (text: string): void => {
      said[name] += text;
    },
  });
  const around = {
    env: {},
    homeDirectory: home,
    workingDirectory: home,
    repositoryDirectory: home,
    console: () => {
      throw new Error('no console here');
    },
    out: output('out'),
    err: output('err'),
  };
  return { exitCode: await runProgram(commands, ['aws-model', ...args], '0.0.0', around), ...said };
}

test('every operation, its limits and its pages', async () => {
  const out = expect.stringContaining(`written  ${model}\nwritten  ${pages}\n`);
  expect(await run()).toMatchObject({ exitCode: 0, out, err: '' });
  const written = JSON.parse(await readFile(model, 'utf8'));
  expect(Object.keys(written.operations)).toEqual(Object.keys(operations));
  expect(written.operations.RunMicrovm).toMatchObject({
    http: { method: 'POST', requestUri: '/2025-09-09/microvms', responseCode: 200 },
    input: { shape: 'RunMicrovmRequest' },
  });
  expect(written.shapes.RunMicrovmRequest).toMatchObject({
    required: ['imageIdentifier'],
    members: { clientToken: { idempotencyToken: true } },
  });
  expect(written.shapes.RunMicrovmRequestRunHookPayload).toEqual({ type: 'string', max: 4096 });
  expect(written.shapes.CreateMicrovmImageRequestName).toMatchObject({ min: 1, max: 64, pattern: '[a-zA-Z0-9-_]+' });
  expect(written.shapes.PortSpecification).toMatchObject({ type: 'structure', union: true });
  expect(written.shapes.ListMicrovmsRequest.members.maxResults).toMatchObject({
    location: 'querystring',
    locationName: 'maxResults',
  });
  expect(written.shapes.ServiceQuotaExceededException).toMatchObject({
    exception: true,
    error: { httpStatusCode: 402 },
  });
  const { pagination } = JSON.parse(await readFile(pages, 'utf8'));
  expect(Object.keys(pagination)).toEqual(Object.keys(operations).filter((name) => /^List(?!Tags)/.test(name)));
  expect(pagination.ListMicrovms).toEqual({
    input_token: 'nextToken',
    output_token: 'nextToken',
    limit_key: 'maxResults',
    result_key: 'items',
  });
});

test('network connectors have a model of their own', async () => {
  await run();
  const directory = join(home, '.aws/models/lambda-core/2026-04-30');
  const written = JSON.parse(await readFile(join(directory, 'service-2.json'), 'utf8'));
  expect(Object.keys(written.operations)).toEqual(Object.keys(coreOperations));
  expect(written.shapes.NetworkConnectorSummaryLastModified).toEqual({ type: 'timestamp', timestampFormat: 'iso8601' });
  expect(written.shapes.CreateNetworkConnectorRequestTagsKey).toMatchObject({ min: 1, max: 128 });
  expect(written.shapes.ListNetworkConnectorsRequestMaxItems).toEqual({ type: 'integer', min: 1, max: 100 });
  const { pagination } = JSON.parse(await readFile(join(directory, 'paginators-1.json'), 'utf8'));
  expect(pagination.ListNetworkConnectors).toEqual({
    input_token: 'Marker',
    output_token: 'NextMarker',
    limit_key: 'MaxItems',
    result_key: 'NetworkConnectors',
  });
});

test.each(['lambda-microvms/2025-09-09', 'lambda-core/2026-04-30'])('every shape that %s names exists', async (at) => {
  await run();
  const written = JSON.parse(await readFile(join(home, '.aws/models', at, 'service-2.json'), 'utf8'));
  const named = [...JSON.stringify(written).matchAll(/"shape":"(\w+)"/g)].map(([, name]) => name);
  expect(named.filter((name) => !Object.hasOwn(written.shapes, name ?? ''))).toEqual([]);
});

test('a second run changes nothing, an own older file is replaced', async () => {
  await run();
  const text = await readFile(model, 'utf8');
  expect((await run()).out).toContain(`up to date  ${model}\nup to date  ${pages}\n`);
  await writeFile(model, text.replace('"2.0"', '"1.0"'));
  expect((await run()).out).toContain(`written  ${model}\nup to date  ${pages}\n`);
  expect(await readFile(model, 'utf8')).toBe(text);
});

test.each(['{"version":"2.0"}', 'no JSON', '[]', 'null', ''])('a file of somebody else stays: %s', async (text) => {
  await mkdir(dirname(pages), { recursive: true });
  await writeFile(pages, text);
  const { exitCode, err } = await run();
  expect([exitCode, err]).toEqual([1, expect.stringContaining(`${pages} exists and was not written by this command`)]);
  expect(await readFile(pages, 'utf8')).toBe(text);
  expect(await readdir(dirname(pages))).toEqual(['paginators-1.json']);
});

test('another directory', async () => {
  expect((await run('--dir', 'elsewhere')).exitCode).toBe(0);
  expect(await readdir(home)).toEqual(['elsewhere']);
});

test('a directory that cannot be made', async () => {
  await writeFile(join(home, '.aws'), 'a file');
  const { exitCode, err } = await run();
  expect([exitCode, err]).toEqual([1, expect.stringMatching(/[\w-]+-\d\.json cannot be .*--dir/s)]);
});

test('options that make no sense', async () => {
  expect((await run('--dir', '')).exitCode).toBe(2);
  expect((await run('--nothing')).exitCode).toBe(2);
});
