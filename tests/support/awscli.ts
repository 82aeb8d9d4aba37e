// Debian's awscli, which does not know the services, taught by the models that `waterbear aws-model` writes.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { services } from '../../cli/aws-model/services.ts';
import { writeModels } from '../../cli/aws-model/write-models.ts';
import { isFault } from '../../src/lib/errors.ts';
import { run } from '../../src/lib/process.ts';

export interface AwsTarget {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  /** How often a call is tried; its own default when absent. */
  attempts?: number;
}

type Json = ReturnType<typeof JSON.parse>;

export interface AwsCli extends AsyncDisposable {
  /** Its home directory, with room for a test's files. */
  readonly home: string;
  /** What it prints. Rejects with `process_failed`. */
  text(...args: string[]): Promise<string>;
  /** What it prints, as JSON; an empty object for nothing. */
  call(...args: string[]): Promise<Json>;
  /** What it says when it fails. Resolves with a sentence when it does not. */
  failure(...args: string[]): Promise<string>;
}

export async function openAwsCli({ endpoint, region, credentials, attempts }: AwsTarget): Promise<AwsCli> {
  const home = await mkdtemp(join(tmpdir(), 'waterbear-awscli-'));
  await writeModels(join(home, '.aws', 'models'), services);
  const env = {
    // The distribution's own command, whatever else a developer has in front of it in PATH.
    PATH: '/usr/bin:/bin',
    HOME: home,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_DEFAULT_REGION: region,
    AWS_EC2_METADATA_DISABLED: 'true',
    ...(attempts === undefined ? {} : { AWS_MAX_ATTEMPTS: String(attempts) }),
    AWS_PAGER: '',
  };
  const text = async (...args: string[]): Promise<string> =>
    (await run('aws', ['--endpoint-url', endpoint, ...args], { env })).stdout;
  return {
    home,
    text,
    call: async (...args) => JSON.parse((await text(...args)) || '{}'),
    async failure(...args) {
      const error = await text(...args).catch((reason: unknown) => reason);
      return isFault(error, 'process_failed') ? String(error.facts.stderr) : `no failure: ${error}`;
    },
    [Symbol.asyncDispose]: () => rm(home, { recursive: true, force: true }),
  };
}
