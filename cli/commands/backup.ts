// `waterbear backup`: a copy of everything a server keeps, while it runs or not.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { BackupReport } from '../../src/backup/make-backup.ts';
import { defineCommand } from '../command.ts';
import { runCopy } from '../copy-run.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import type { Surroundings } from '../surroundings.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  directory: z.string().min(1, 'must name a directory'),
  json: z.boolean().default(false),
});

export const backup = defineCommand({
  name: 'backup',
  summary: 'copy everything the server keeps into a new directory, while it runs',
  details: `
Rows, keys, objects, images, sleeping MicroVMs, build logs. MicroVMs that run are in it as of their last sleep, and not at all
when they never slept; the command says which. What changes while it is copied is copied again. "waterbear restore" makes a
data directory of it. The backup holds secrets (access keys, token keys, the memory of MicroVMs): it is readable by its owner
only; keep it so. Container layers kept for builds are left out, and unfinished uploads in parts.`,
  arguments: [{ flags: '<directory>', text: 'where the backup is made: a new or an empty directory' }],
  flags: [dataFlag, { flags: '--json', text: 'print what was copied as JSON' }],
  schema,
  run: async ({ data, directory, json }, around) => {
    // Loaded only here: the other commands start faster without the database.
    const { makeBackup } = await import('../../src/backup/make-backup.ts');
    const target = resolve(around.workingDirectory, directory);
    const version = await productVersion(around);
    const order = { dataDirectory: dataDirectory(data, around), target, version, now: Date.now };
    const report = await runCopy(target, around, (run) => makeBackup({ ...order, ...run }));
    if (json) around.out.write(`${JSON.stringify(report, undefined, 2)}\n`);
    else print(report, target, around);
    return report.leftOut.length === 0 ? 0 : 1;
  },
});

async function productVersion({ repositoryDirectory }: Surroundings): Promise<string> {
  const text = await readFile(join(repositoryDirectory, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function print(
  { files, bytes, asleep, old, missing, leftOut }: BackupReport,
  target: string,
  { out }: Surroundings,
): void {
  const list = (title: string, lines: string[]): void => {
    if (lines.length > 0) out.write(`${title}\n${lines.map((line) => `  ${line}\n`).join('')}`);
  };
  out.write(`${files} files, ${Math.ceil(bytes / 2 ** 20)} MiB in ${target}. It holds secrets: keep it from others.\n`);
  out.write(`${asleep} sleeping MicroVMs are in it as they are.\n`);
  list(
    'In it as of their last sleep:',
    old.map(({ microvmId, state, takenMs }) => `${microvmId} (${state}), ${new Date(takenMs).toISOString()}`),
  );
  list(
    'Not in it, for they have no snapshot; suspend them and make another backup to keep them:',
    missing.filter(({ state }) => state !== 'SUSPENDED').map(({ microvmId, state }) => `${microvmId} (${state})`),
  );
  list(
    'Not in it though they sleep, for their snapshots are damaged or missing:',
    missing.filter(({ state }) => state === 'SUSPENDED').map(({ microvmId }) => microvmId),
  );
  list('Left out:', leftOut);
}
