// The AWS profile `waterbear` in the user's AWS files: only its own sections are touched. Safe to repeat; each file is replaced whole or not at all.
import { chown, mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ServerFacts } from '../../src/contract/server-facts.ts';
import { writeDurably } from '../../src/lib/durable-file.ts';
import { Fault } from '../../src/lib/errors.ts';
import type { Surroundings } from '../surroundings.ts';
import { replaceSections, type Sections } from './ini-sections.ts';

export const profileName = 'waterbear';

export interface ProfileFiles {
  config: string;
  credentials: string;
}

/** Where AWS's own tools look. */
export function profileFiles({ env, homeDirectory }: Pick<Surroundings, 'env' | 'homeDirectory'>): ProfileFiles {
  return {
    config: env.AWS_CONFIG_FILE || join(homeDirectory, '.aws', 'config'),
    credentials: env.AWS_SHARED_CREDENTIALS_FILE || join(homeDirectory, '.aws', 'credentials'),
  };
}

export async function writeProfile(files: ProfileFiles, facts: ServerFacts, caBundle: string): Promise<void> {
  await update(files.config, configSections(facts, caBundle));
  await update(files.credentials, {
    [profileName]: [`aws_access_key_id = ${facts.accessKeyId}`, `aws_secret_access_key = ${facts.secretAccessKey}`],
  });
}

/** `services` is what newer SDKs and CLIs read; `endpoint_url` is for all other services of the same profile. */
function configSections(facts: ServerFacts, caBundle: string): Sections {
  return {
    [`profile ${profileName}`]: [
      `region = ${facts.region}`,
      'output = json',
      `endpoint_url = ${facts.apiUrl}`,
      `services = ${profileName}`,
      `ca_bundle = ${caBundle}`,
    ],
    [`services ${profileName}`]: [
      'lambda_microvms =',
      `  endpoint_url = ${facts.apiUrl}`,
      's3 =',
      `  endpoint_url = ${facts.s3Url}`,
    ],
  };
}

const ownerOnly = 0o600;

async function update(path: string, sections: Sections): Promise<void> {
  try {
    // The file may be a link into a directory of dotfiles: the link stays.
    const target = await realpath(path).catch(() => path);
    const before = await stat(target).catch(() => undefined);
    const text = before === undefined ? '' : await readFile(target, 'utf8');
    const changed = replaceSections(text, sections);
    if (changed === text) return;
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await writeDurably(target, changed, { mode: before === undefined ? ownerOnly : before.mode & 0o777 });
    if (before && before.uid !== process.getuid?.()) await chown(target, before.uid, before.gid);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault(
      'internal',
      { what: `Cannot write the AWS profile into ${path} (${why}). Without it: --no-profile.` },
      cause,
    );
  }
}
