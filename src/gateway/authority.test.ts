import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../lib/clock.ts';
import { isFault } from '../lib/errors.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { run } from '../lib/process.ts';
import { openAuthority, readTlsFiles } from './authority.ts';
import { dayMs, makeLeaf } from './certificate.ts';

const suffix = 'vm.localhost';
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-authority-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = (loopback = false, clock = systemClock) => openAuthority({ directory, suffix, loopback, clock });
const path = (name: string): string => join(directory, name);

async function serving<T>(tls: { key: string; cert: string }, use: (port: number) => Promise<T>): Promise<T> {
  const server = createServer(tls, (_, res) => res.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function handshake(port: number, ca: string, servername: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', ca, servername }, () => {
      resolve('accepted');
      socket.destroy();
    });
    socket.on('error', (error) => resolve(error.message));
  });
}

/** Undefined when the tool is not installed. */
async function tool(command: string, args: string[]): Promise<string | undefined> {
  try {
    return (await run(command, args, { timeoutMs: 10_000 })).stdout;
  } catch (error) {
    if (isFault(error, 'missing_tool')) return undefined;
    throw error;
  }
}

test('keys are private, and a second opening finds the same', async () => {
  const first = await open();
  expect((await stat(path('ca.key'))).mode & 0o777).toBe(0o600);
  expect((await stat(path('server.key'))).mode & 0o777).toBe(0o600);
  expect(await open()).toEqual(first);
});

test('the server certificate is renewed when less than 30 days are left, the authority stays', async () => {
  const clock = new ManualClock();
  const first = await open(false, clock);
  await clock.advance(334 * dayMs);
  expect(await open(false, clock)).toEqual(first);
  await clock.advance(2 * dayMs);
  const renewed = await open(false, clock);
  expect(renewed.cert).not.toBe(first.cert);
  expect(renewed.caCertificatePem).toBe(first.caCertificatePem);
  expect(Date.parse(new X509Certificate(renewed.cert).validTo)).toBeGreaterThan(clock.now() + 364 * dayMs);
});

test('a damaged or foreign file is replaced', async () => {
  const first = await open();
  await writeFile(path('server.key'), 'not a key');
  const second = await open();
  expect(second.caCertificatePem).toBe(first.caCertificatePem);
  expect(second.cert).not.toBe(first.cert);
  await writeFile(path('ca.crt'), second.cert);
  const third = await open();
  expect(new X509Certificate(third.cert).verify(new X509Certificate(third.caCertificatePem).publicKey)).toBe(true);
});

test('other names make a new authority', async () => {
  const first = await open(false);
  expect((await open(true)).caCertificatePem).not.toBe(first.caCertificatePem);
});

describe('clients', () => {
  test('Node accepts every host of the suffix and no other', async () => {
    const tls = await open();
    await serving(tls, async (port) => {
      expect(await handshake(port, tls.caCertificatePem, `a.${suffix}`)).toBe('accepted');
      expect(await handshake(port, tls.caCertificatePem, 'example.com')).toContain('does not match certificate');
    });
  });

  test('Node and OpenSSL refuse a name outside the constraints although the authority signed it', async () => {
    const tls = await open();
    const authority = { key: await readFile(path('ca.key'), 'utf8'), cert: tls.caCertificatePem };
    const forged = await makeLeaf(authority, { names: ['example.com'], addresses: [] }, Date.now());
    await serving(forged, async (port) => {
      expect(await handshake(port, tls.caCertificatePem, 'example.com')).toBe('permitted subtree violation');
    });
    const address = await makeLeaf(authority, { names: [`a.${suffix}`], addresses: ['127.0.0.1'] }, Date.now());
    await serving(address, async (port) => {
      expect(await handshake(port, tls.caCertificatePem, `a.${suffix}`)).toBe('excluded subtree violation');
    });
  });

  test.each([false, true])('OpenSSL in strict mode (loopback: %s)', async (loopback) => {
    await open(loopback);
    const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', path('ca.crt')];
    const stdout = await tool('openssl', [...args, '-verify_hostname', `a.${suffix}`, path('server.crt')]);
    if (stdout !== undefined) expect(stdout).toContain('OK');
    if (loopback) await tool('openssl', [...args, '-verify_ip', '127.0.0.1', path('server.crt')]);
  });

  test('curl', async () => {
    const tls = await open();
    await serving(tls, async (port) => {
      const to = ['--connect-to', `a.${suffix}:443:127.0.0.1:${port}`, `https://a.${suffix}/`];
      const stdout = await tool('curl', ['-sS', '--noproxy', '*', '--cacert', path('ca.crt'), ...to]);
      if (stdout !== undefined) expect(stdout).toBe('hello');
    });
  });

  test('Python, also in its strict mode', async () => {
    const tls = await open(true);
    await serving(tls, async (port) => {
      for (const name of [`a.${suffix}`, 'localhost', '127.0.0.1']) {
        const stdout = await tool('python3', ['-c', python(name, port)]);
        if (stdout !== undefined) expect(stdout.trim()).toBe('TLSv1.3');
      }
    });
  });
});

const python = (name: string, port: number): string => `
import socket, ssl
context = ssl.create_default_context(cafile=${JSON.stringify(path('ca.crt'))})
context.verify_flags |= ssl.VERIFY_X509_STRICT
with context.wrap_socket(socket.create_connection(("127.0.0.1", ${port})), server_hostname="${name}") as tls:
    print(tls.version())
`;

test('own files are taken as they are, and a pair that does not fit is refused', async () => {
  const tls = await open();
  const files = { keyPath: path('server.key'), certPath: path('server.crt'), caPath: path('ca.crt') };
  expect(await readTlsFiles(files)).toEqual(tls);
  await expect(readTlsFiles({ ...files, keyPath: path('ca.key') })).rejects.toMatchObject({ code: 'invalid_input' });
});
