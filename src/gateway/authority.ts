// The gateway's TLS identity: a local authority and a server certificate kept in a directory, or certificate files of the operator's own.
// A crash at any line is recoverable: each file is replaced as a whole, and a key that does not fit its certificate makes both anew.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import { makeDirectory, writeDurably } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { readSmallFile } from '../lib/read-file.ts';
import type { KeyAndCertificate } from './certificate.ts';
import { encodeNameConstraints, type PermittedNames } from './name-constraints.ts';

export interface AuthorityOptions {
  /** Where keys and certificates live; made when missing. */
  directory: string;
  /** DNS suffix of the endpoints, lower case, e.g. `vm.localhost`. */
  suffix: string;
  /** The server certificate also names `localhost`, 127.0.0.1 and ::1. */
  loopback: boolean;
  clock: Clock;
}

export interface TlsIdentity {
  /** What clients must trust. */
  caCertificatePem: string;
  /** PEM of the private key and of the certificate chain, for the server. */
  key: string;
  cert: string;
}

const maxPemBytes = 1 << 20;
const renewBeforeMs = 30 * 86_400_000;
/** Made once a year, and what makes them is a sixth of all that a server loads: not at every start. */
const makers = () => import('./certificate.ts');

/** Loads what the directory holds and makes what is missing, damaged, for other names, or within 30 days of its end. */
export async function openAuthority(options: AuthorityOptions): Promise<TlsIdentity> {
  const { directory, suffix, loopback, clock } = options;
  const names: PermittedNames = { dns: loopback ? [suffix, 'localhost'] : [suffix], loopback };
  const nowMs = clock.now();
  const authority =
    (await load(directory, 'ca', (cert) => cert.ca && lasts(cert, nowMs) && confinedTo(cert, names))) ??
    (await store(directory, 'ca', await (await makers()).makeAuthority(names, nowMs)));
  const issuer = new X509Certificate(authority.cert);
  const subject = {
    names: [suffix, `*.${suffix}`, ...(loopback ? ['localhost'] : [])],
    addresses: loopback ? ['127.0.0.1', '::1'] : [],
  };
  const leaf =
    (await load(
      directory,
      'server',
      (cert) => cert.verify(issuer.publicKey) && lasts(cert, nowMs) && covers(cert, subject),
    )) ?? (await store(directory, 'server', await (await makers()).makeLeaf(authority, subject, nowMs)));
  return { caCertificatePem: authority.cert, key: leaf.key, cert: leaf.cert };
}

/** The operator's own files. `caPath` is what clients need to trust; without it the chain itself is given out. */
export async function readTlsFiles(paths: {
  keyPath: string;
  certPath: string;
  caPath?: string;
}): Promise<TlsIdentity> {
  const [key, cert, ca] = await Promise.all([
    readFile(paths.keyPath, 'utf8'),
    readFile(paths.certPath, 'utf8'),
    paths.caPath === undefined ? undefined : readFile(paths.caPath, 'utf8'),
  ]);
  if (!fits({ key, cert })) {
    const what = `The key in ${paths.keyPath} does not belong to the certificate in ${paths.certPath}. Name a pair that fits.`;
    throw new Fault('invalid_input', { what });
  }
  return { caCertificatePem: ca ?? cert, key, cert };
}

async function load(
  directory: string,
  name: string,
  good: (cert: X509Certificate) => boolean,
): Promise<KeyAndCertificate | undefined> {
  const [key, cert] = await Promise.all([
    readSmallFile(join(directory, `${name}.key`), maxPemBytes),
    readSmallFile(join(directory, `${name}.crt`), maxPemBytes),
  ]);
  if (key === undefined || cert === undefined || !fits({ key, cert })) return undefined;
  return good(new X509Certificate(cert)) ? { key, cert } : undefined;
}

async function store(directory: string, name: string, pair: KeyAndCertificate): Promise<KeyAndCertificate> {
  await makeDirectory(directory);
  await writeDurably(join(directory, `${name}.key`), pair.key);
  await writeDurably(join(directory, `${name}.crt`), pair.cert, { mode: 0o644 });
  return pair;
}

function fits({ key, cert }: KeyAndCertificate): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

function lasts(cert: X509Certificate, nowMs: number): boolean {
  return Date.parse(cert.validFrom) <= nowMs && Date.parse(cert.validTo) - nowMs >= renewBeforeMs;
}

const confinedTo = (cert: X509Certificate, names: PermittedNames): boolean =>
  cert.raw.includes(encodeNameConstraints(names));

function covers(cert: X509Certificate, subject: { names: readonly string[]; addresses: readonly string[] }): boolean {
  const listed = (cert.subjectAltName ?? '').split(', ');
  return (
    subject.names.every((name) => listed.includes(`DNS:${name}`)) &&
    subject.addresses.every((address) => cert.checkIP(address) !== undefined)
  );
}
