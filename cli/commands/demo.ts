// `waterbear demo`: shows on this machine, with the AWS SDK, what the product does.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { Fault } from '../../src/lib/errors.ts';
import { choiceOption, defineCommand } from '../command.ts';
import type { TargetFacts } from '../demo/target.ts';
import { listenForStop } from '../stop-signals.ts';
import { paintFor, type Surroundings } from '../surroundings.ts';

const schema = z.object({
  accel: choiceOption(['auto', 'tcg', 'kvm']).default('auto'),
  endpoint: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
  ca: z.string().min(1, 'must name a file').optional(),
  json: z.boolean().default(false),
});
type DemoOptions = z.output<typeof schema>;

export const demo = defineCommand({
  name: 'demo',
  summary: 'build, launch, use, suspend and wake two MicroVMs',
  details: `
Builds examples/code-interpreter into an image, launches two MicroVMs from it, runs code in both, lets one fall asleep,
wakes it with a request, and ends everything. Only the AWS SDK and HTTPS are used.

Without --endpoint and AWS_ENDPOINT_URL_LAMBDA_MICROVMS it starts a server of its own on free ports, and removes its data
at the end. What that server said is in .waterbear/demo.log.`,
  flags: [
    { flags: '--accel <name>', text: 'of its own server: auto, kvm or tcg (default: auto)' },
    { flags: '--endpoint <url>', text: 'use a server that runs already, with the credentials of this shell' },
    {
      flags: '--ca <file>',
      text: 'with --endpoint: authority of the MicroVM endpoints, as PEM (default: what Node trusts)',
    },
    { flags: '--json', text: 'print one line of JSON at the end' },
  ],
  schema,
  run: async (options, around) => {
    const stop = listenForStop(process, (exitCode) => {
      around.err.write('Stopped at once. The server cleans up on its own; MicroVMs on other servers may still run.\n');
      process.exit(exitCode);
    });
    try {
      const existing = await existingServer(options, around);
      // Loaded only here: the AWS SDK takes a while.
      const { runDemo } = await import('../demo/run-demo.ts');
      const { accel, json } = options;
      return await runDemo({ accel, json, existing }, around, paintFor(around.out, around.env), stop.asked);
    } finally {
      stop.dispose();
    }
  },
});

async function existingServer(options: DemoOptions, around: Surroundings): Promise<TargetFacts | undefined> {
  const {
    AWS_ENDPOINT_URL_LAMBDA_MICROVMS: fromEnv,
    AWS_ENDPOINT_URL_S3: s3,
    AWS_REGION,
    AWS_DEFAULT_REGION,
  } = around.env;
  const apiUrl = options.endpoint ?? fromEnv;
  if (!apiUrl) return undefined;
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = around.env;
  return {
    apiUrl,
    s3Url: s3 || apiUrl,
    region: AWS_REGION || AWS_DEFAULT_REGION || 'us-east-1',
    ...(accessKeyId && secretAccessKey ? { credentials: { accessKeyId, secretAccessKey } } : {}),
    ...(options.ca ? { ca: await readCa(resolve(around.workingDirectory, options.ca)) } : {}),
  };
}

function readCa(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Fault('not_found', { what: `The file ${path} of --ca cannot be read.` }, cause);
  });
}
