// Makes the two kinds of certificates the gateway needs: its own authority, and the server certificate that authority signs.

// @peculiar/x509 needs this one to be loaded before it.
import 'reflect-metadata';
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { encodeNameConstraints, nameConstraintsOid, type PermittedNames } from './name-constraints.ts';

/** PEM texts. */
export interface KeyAndCertificate {
  key: string;
  cert: string;
}

export const dayMs = 86_400_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
// Clients' clocks are not exactly ours.
const backdateMs = dayMs;

/** A self-signed authority for `names`, valid for ten years. */
export async function makeAuthority(names: PermittedNames, nowMs: number): Promise<KeyAndCertificate> {
  const keys = await generate();
  const cert = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=Waterbear local authority ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + 3_650 * dayMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new Extension(nameConstraintsOid, true, encodeNameConstraints(names)),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      // OpenSSL's strict mode asks for it on authorities too.
      await AuthorityKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { key: privatePem(keys.privateKey), cert: pemText(cert) };
}

/** A server certificate for DNS `names` and IP `addresses`, signed by `authority`, valid for one year. */
export async function makeLeaf(
  authority: KeyAndCertificate,
  subject: { names: readonly string[]; addresses: readonly string[] },
  nowMs: number,
): Promise<KeyAndCertificate> {
  const keys = await generate();
  const issuer = new X509Certificate(authority.cert);
  const cert = await X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: 'CN=Waterbear gateway',
    issuer: issuer.subjectName,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + 365 * dayMs),
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([
        ...subject.names.map((value) => ({ type: 'dns' as const, value })),
        ...subject.addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { key: privatePem(keys.privateKey), cert: pemText(cert) };
}

const generate = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

const privatePem = (key: webcrypto.CryptoKey): string =>
  KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString();

const pemText = (certificate: X509Certificate): string => `${certificate.toString('pem').trim()}\n`;

/** 16 random bytes with the top bit clear and not zero: a positive number of fixed length, unique per certificate. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}
