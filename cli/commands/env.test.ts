// `waterbear env` against a data directory as a server writes it: exports, bundle, profile, and what it leaves alone.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runProgram } from '../program.ts';
import { commands } from './index.ts';

const certificate = (name: string): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(name).toString('base64')}\n-----END CERTIFICATE-----\n`;
const secret = "it's $(secret)";
let root = '';
let data = '';

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'env-'));
  data = join(root, 'data');
  await mkdir(data);
  await writeFile(join(data, 'ca.crt'), certificate('ours'));
  await writeServerFile({});
});
afterEach(() => rm(root, { recursive: true, force: true }));

function writeServerFile(change: Record<string, unknown>): Promise<void> {
  const urls = { apiUrl: 'http://127.0.0.1:9100', s3Url: 'http://127.0.0.1:9101', gatewayPort: 443 };
  const keys = { accessKeyId: 'AKIAX', secretAccessKey: secret.replaceAll(' ', '_'), region: 'eu-west-1' };
  const facts = { ...urls, ...keys, caFile: join(data, 'ca.crt'), pid: process.pid, ...change };
  return writeFile(join(data, 'server.json'), JSON.stringify(facts));
}

async function run(args: string[], env: Record<string, string> = {}) {
  const said = { out: '', err: '' };
  const output = (name: 'out' | 'err') => ({
    isTty: false,
    write: (text: string): void => {
      said[name] += text;
    },
  });
  const around = {
    env,
    homeDirectory: root,
    workingDirectory: root,
    repositoryDirectory: root,
    console: () => {
      throw new Error('no console here');
    },
    out: output('out'),
    err: output('err'),
  };
  const exitCode = await runProgram(commands, args, '0.0.0', around);
  return { exitCode, ...said };
}

test('a shell that evaluates it has the exact values', async () => {
  const { out, exitCode } = await run(['env', '--data', 'data', '--no-profile']);
  expect(exitCode).toBe(0);
  const script = `${out}printf '%s|%s|%s|%s' "$AWS_SECRET_ACCESS_KEY" "$AWS_ENDPOINT_URL_S3" "$SSL_CERT_FILE" "\${AWS_PROFILE-none}"`;
  const said = execFileSync('sh', ['-euc', script], { encoding: 'utf8', env: { AWS_PROFILE: 'other' } });
  const bundle = join(data, 'ca-bundle.pem');
  expect(said).toBe(`${secret.replaceAll(' ', '_')}|http://127.0.0.1:9101|${bundle}|none`);
  await expect(stat(join(root, '.aws'))).rejects.toThrow('ENOENT');
});

test('the bundle adds our authority to what the shell trusts already, once', async () => {
  const own = join(root, 'corporate.pem');
  await writeFile(own, certificate('corporate').trimEnd());
  const env = { SSL_CERT_FILE: own, NODE_EXTRA_CA_CERTS: own };
  const first = await run(['env', '--data', 'data', '--no-profile', '--json'], env);
  const bundle = join(data, 'ca-bundle.pem');
  const text = await readFile(bundle, 'utf8');
  expect(text).toContain(certificate('corporate'));
  expect(text.endsWith(certificate('ours'))).toBe(true);
  const { variables } = JSON.parse(first.out);
  expect(variables.NODE_EXTRA_CA_CERTS).toBe(bundle);
  await run(['env', '--data', 'data', '--no-profile'], variables);
  expect(await readFile(bundle, 'utf8')).toBe(text);
});

test('the profile is written beside what is there, through links, with the right modes, and twice is once', async () => {
  const dotfiles = join(root, 'dotfiles');
  await mkdir(dotfiles);
  await mkdir(join(root, '.aws'));
  await writeFile(join(dotfiles, 'config'), '[default]\nregion = us-west-2\n', { mode: 0o644 });
  await symlink(join(dotfiles, 'config'), join(root, '.aws', 'config'));
  const { out, exitCode } = await run(['env', '--data', 'data', '--json']);
  expect(exitCode).toBe(0);
  expect(JSON.parse(out).profile.name).toBe('waterbear');
  const config = await readFile(join(dotfiles, 'config'), 'utf8');
  expect(config.startsWith('[default]\nregion = us-west-2\n\n[profile waterbear]\nregion = eu-west-1\n')).toBe(true);
  expect(config).toContain('[services waterbear]\nlambda_microvms =\n  endpoint_url = http://127.0.0.1:9100\n');
  expect((await stat(join(dotfiles, 'config'))).mode & 0o777).toBe(0o644);
  const credentials = join(root, '.aws', 'credentials');
  expect((await stat(credentials)).mode & 0o777).toBe(0o600);
  expect(await readFile(credentials, 'utf8')).toMatch(/^\[waterbear\]\naws_access_key_id = AKIAX\n/);
  await run(['env', '--data', 'data']);
  expect(await readFile(join(dotfiles, 'config'), 'utf8')).toBe(config);
});

test('a profile that cannot be written says so and names the way around', async () => {
  await writeFile(join(root, '.aws'), 'a file where a directory should be');
  const { exitCode, err } = await run(['env', '--data', 'data']);
  expect(exitCode).toBe(1);
  expect(err).toMatch(/Cannot write the AWS profile into .*config.*--no-profile/);
});

test('a server that does not run any more is noted', async () => {
  await writeServerFile({ pid: 2 ** 22 + 1 });
  const { exitCode, out, err } = await run(['env', '--data', 'data', '--no-profile']);
  expect([exitCode, out.startsWith('export ')]).toEqual([0, true]);
  expect(err).toContain('does not run now');
});

test.each([
  ['not JSON', '{', 'the file'],
  ['a line break in a value', JSON.stringify({ caFile: '/a\nb' }), 'apiUrl'],
  ['far too large', ' '.repeat(70_000), 'too large'],
])('server.json: %s is refused', async (_, text, why) => {
  await writeFile(join(data, 'server.json'), text);
  const { exitCode, out, err } = await run(['env', '--data', 'data']);
  expect([exitCode, out]).toEqual([1, '']);
  expect(err).toContain(why);
});

test.each([
  ['region', 'us-east-1\n[default]'],
  ['accessKeyId', 'AKIA\nX'],
  ['caFile', '/tmp/a\u0000'],
  ['apiUrl', 'file:///etc/passwd'],
  ['pid', -1],
])('server.json: a bad %s is refused by name', async (name, value) => {
  await writeServerFile({ [name]: value });
  const { exitCode, err } = await run(['env', '--data', 'data']);
  expect(exitCode).toBe(1);
  expect(err).toContain(`(${name}:`);
});
