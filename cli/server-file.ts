// `server.json` in the data directory: where a running server tells its address, key and certificate authority.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ServerFacts } from '../src/contract/server-facts.ts';
import { Fault } from '../src/lib/errors.ts';

// These values end up in shell commands and INI files: nothing in them may end a line.
const line = z
  .string()
  .min(1)
  .max(2048)
  .regex(/^[^\p{Cc}]+$/u, 'must not hold control characters');
const word = line.regex(/^\S+$/, 'must not hold spaces');

const serverFile: z.ZodType<ServerFacts> = z.object({
  apiUrl: z.url({ protocol: /^https?$/ }).max(2048),
  s3Url: z.url({ protocol: /^https?$/ }).max(2048),
  metricsPort: z.number().int().min(1).max(65_535).optional(),
  gatewayPort: z.number().int().min(0).max(65_535),
  caFile: line,
  accessKeyId: word,
  secretAccessKey: word,
  region: word.regex(/^[a-z0-9-]+$/),
  pid: z.number().int().min(1),
});

const maxBytes = 64 * 1024;

/** Rejects with `not_found` when no server was started there, `invalid_input` when the file makes no sense. */
export async function readServerFile(dataDirectory: string): Promise<ServerFacts> {
  const path = join(dataDirectory, 'server.json');
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EACCES') {
      throw new Fault(
        'missing_right',
        { what: `Reading ${path}`, right: 'the rights of its owner', next: 'Use the account that runs the server.' },
        cause,
      );
    }
    const next = 'Start one with "waterbear serve", or name the directory of a running one with --data.';
    throw new Fault('not_found', { what: `No server has its data in ${dataDirectory}. ${next}` }, cause);
  });
  return parseServerFile(text, path);
}

/** Rejects with `invalid_input`. */
export function parseServerFile(text: string, path: string): ServerFacts {
  const checked = text.length > maxBytes ? undefined : serverFile.safeParse(parseJson(text));
  if (checked?.success) return checked.data;
  const issue = checked?.error?.issues[0];
  const why = issue === undefined ? 'it is too large' : `${issue.path.join('.') || 'the file'}: ${issue.message}`;
  throw new Fault('invalid_input', {
    what: `${path} was not written by this version of Waterbear (${why}). Start the server again.`,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether the process that wrote the file still exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
