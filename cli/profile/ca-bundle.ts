// One file with the system's certificate authorities and ours. Most tools take a single bundle instead of an addition:
// handing them ours alone would cut them off from the rest of the world.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { writeDurably } from '../../src/lib/durable-file.ts';
import { Fault } from '../../src/lib/errors.ts';

const systemBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

export interface BundleSources {
  /** PEM file of our authority. */
  ours: string;
  /** Bundle that this shell uses already, if any; ours is added to it. */
  present: string | undefined;
  /** Extra authorities that this shell gives to Node, if any. */
  extra: string | undefined;
}

/** Writes `ca-bundle.pem` into `directory` and resolves with its path. */
export async function writeCaBundle(directory: string, sources: BundleSources): Promise<string> {
  const path = join(directory, 'ca-bundle.pem');
  const ours = await readFile(sources.ours, 'utf8').catch((cause: unknown) => {
    const what = `The certificate authority ${sources.ours} cannot be read. Start the server again.`;
    throw new Fault('not_found', { what }, cause);
  });
  // In a shell that uses our bundle already, whatever else was put into it stays.
  const again = sources.present === path || sources.extra === path;
  const base = again ? [path] : sources.present ? [sources.present] : [];
  const all = await firstThatHasCertificates([...base, ...systemBundles]);
  const parts = [
    all,
    sources.extra && sources.extra !== sources.ours && !again ? await certificatesOf(sources.extra) : '',
    all.includes(ours.trim()) ? '' : ours,
  ];
  const text = parts.map((part) => (part === '' || part.endsWith('\n') ? part : `${part}\n`)).join('');
  if ((await readFile(path, 'utf8').catch(() => '')) !== text) await writeDurably(path, text, { mode: 0o644 });
  return path;
}

async function firstThatHasCertificates(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const text = await certificatesOf(path);
    if (text !== '') return text;
  }
  return rootCertificates.join('\n');
}

async function certificatesOf(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.includes('-----BEGIN CERTIFICATE-----') ? text : '';
}
