// What a host must know of an image beside its snapshot: which hooks its VMs have, and what they take of the host.
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { BuildOrder } from '../contract/node-api.ts';
import { writeDurably } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { openSealed, sealJson } from '../lib/sealed-json.ts';

const seconds = z.number().int().positive().optional();
const mib = z.number().int().positive();
const schema = z.object({
  format: z.literal(1),
  buildId: z.string(),
  imageArn: z.string(),
  imageVersion: z.string(),
  hooks: z.object({
    port: z.number().int().optional(),
    readySeconds: seconds,
    validateSeconds: seconds,
    runSeconds: seconds,
    resumeSeconds: seconds,
    suspendSeconds: seconds,
    terminateSeconds: seconds,
  }),
  // Records of earlier versions have no sizes.
  baselineMib: mib.default(2048),
  memoryMib: mib.default(2048),
  vcpus: z.number().int().positive().default(1),
  diskMib: mib.default(8192),
  memorySnapshotBytes: z.number().int().nonnegative().default(0),
});

export type ImageRecord = z.infer<typeof schema>;

const name = 'image.json';

export async function writeImageRecord(
  directory: string,
  order: BuildOrder,
  memorySnapshotBytes: number,
): Promise<void> {
  const { buildId, imageArn, imageVersion, hooks, baselineMib, memoryMib, vcpus, diskMib } = order;
  const record: ImageRecord = {
    ...{ format: 1, buildId, imageArn, imageVersion, hooks },
    ...{ baselineMib, memoryMib, vcpus, diskMib, memorySnapshotBytes },
  };
  await writeDurably(join(directory, name), sealJson(record));
}

/** Rejects with `not_found` when there is no such image, `snapshot_corrupt` when its record cannot be read. */
export async function readImageRecord(directory: string): Promise<ImageRecord> {
  const file = join(directory, name);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Fault('not_found', { what: `This host has no image ${basename(directory)}.`, kind: 'image' }, cause);
  });
  try {
    return schema.parse(JSON.parse(openSealed(text)));
  } catch (cause) {
    throw new Fault('snapshot_corrupt', { file, why: 'it is not an image record of format 1' }, cause);
  }
}
