// `waterbear env`: what a shell, an SDK or a CLI needs to use a running server.
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { writeCaBundle } from '../profile/ca-bundle.ts';
import { clientVariables, shellLines, unsetVariables } from '../profile/variables.ts';
import { profileFiles, profileName, writeProfile } from '../profile/write-profile.ts';
import { isAlive, readServerFile } from '../server-file.ts';
import type { Surroundings } from '../surroundings.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  profile: z.boolean().default(true),
  json: z.boolean().default(false),
});

export const env = defineCommand({
  name: 'env',
  summary: 'print what AWS SDKs and CLIs need to use a running server',
  details: `
In a shell:        eval "$(waterbear env)"
With the profile:  aws --profile waterbear lambda-microvms list-microvms

Writes the profile "waterbear" into ~/.aws/config and ~/.aws/credentials and touches nothing else there.
Writes <data>/ca-bundle.pem: the certificate authorities of this system and the local one of the server. curl, Python and
the AWS CLI take one bundle instead of an addition, so they are pointed at that file; run this again when the system's change.
AWS CLIs before 2.13 know neither these variables nor the profile's endpoint: give them --endpoint-url.`,
  flags: [
    dataFlag,
    { flags: '--no-profile', text: 'leave the AWS files alone' },
    { flags: '--json', text: 'print JSON instead of shell commands' },
  ],
  schema,
  run: printEnvironment,
});

async function printEnvironment(options: z.output<typeof schema>, around: Surroundings): Promise<number> {
  const directory = dataDirectory(options.data, around);
  const facts = await readServerFile(directory);
  const { NODE_EXTRA_CA_CERTS: extra, SSL_CERT_FILE: present } = around.env;
  const caBundle = await writeCaBundle(directory, { ours: facts.caFile, present, extra });
  // Who already gives Node authorities of their own keeps them.
  const nodeCaFile = extra && extra !== facts.caFile ? caBundle : facts.caFile;
  const variables = clientVariables(facts, caBundle, nodeCaFile);
  const files = profileFiles(around);
  if (options.profile) await writeProfile(files, facts, caBundle);
  if (!isAlive(facts.pid))
    around.err.write(`The server of ${directory} does not run now. Start it with "waterbear serve".\n`);
  if (!options.json) {
    around.out.write(shellLines(variables));
    return 0;
  }
  const profile = options.profile ? { name: profileName, ...files } : null;
  around.out.write(
    `${JSON.stringify({ variables, unset: unsetVariables, profile, gatewayPort: facts.gatewayPort })}\n`,
  );
  return 0;
}
