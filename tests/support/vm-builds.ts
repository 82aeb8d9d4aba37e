// Builds for tests: what came out, or why it failed and what the log held.
import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildOrder } from '../../src/contract/node-api.ts';
import { isFault } from '../../src/lib/errors.ts';
import { buildOrder, type RealNode, startRealNode } from './real-node.ts';
import { type ZipEntry, zipOf } from './zip.ts';

/** A zip whose Dockerfile builds on the local Python image. */
export const project = (instructions: string, ...more: ZipEntry[]): Buffer =>
  zipOf([{ name: 'Dockerfile', data: `FROM localhost/waterbear/python:3\n${instructions}` }, ...more]);

/** Rejects with an Error whose message is reason and sentence, and whose cause is the log. */
export async function build(
  it: RealNode,
  zip: Buffer,
  changes: Partial<BuildOrder> = {},
): Promise<{ buildId: string; log: string }> {
  const archive = join(it.directory, `${crypto.randomUUID()}.zip`);
  writeFileSync(archive, zip);
  let log = '';
  const order = buildOrder(archive, changes);
  try {
    await it.node.build(order, (text) => {
      log += text;
    });
    return { buildId: order.buildId, log };
  } catch (error) {
    if (isFault(error, 'build_failed')) throw new Error(`${error.facts.reason}: ${error.facts.what}`, { cause: log });
    throw error;
  } finally {
    await rm(archive);
  }
}

/** Why it fails, and what the log held. */
export async function failure(
  it: RealNode,
  zip: Buffer,
  changes: Partial<BuildOrder> = {},
): Promise<{ why: string; log: string }> {
  const error: unknown = await build(it, zip, changes).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error)) throw new Error('It was built.');
  return { why: error.message, log: String(error.cause) };
}

/** A build that failed in a VM. */
export interface Failed {
  zip: Buffer;
  changes?: Partial<BuildOrder>;
  why: string;
}

/** What the same builds say when they fail in the cage of a host of their own, and what they said in their VMs, made comparable. */
export async function besideHost(all: readonly Failed[]): Promise<{ inVm: string[]; onHost: string[] }> {
  const host = await startRealNode({ buildIsolation: 'host' });
  try {
    const onHost: string[] = [];
    for (const { zip, changes } of all) onHost.push(comparable((await failure(host, zip, changes)).why));
    return { inVm: all.map(({ why }) => comparable(why)), onHost };
  } finally {
    await host.close();
  }
}

/** Without what differs between two places: paths, ids, how the two zip readers say the same, and which of two outputs came first. */
const comparable = (why: string): string =>
  why
    .replace(/\/\S*/g, '/…')
    .replace(/[0-9a-f]{12,}/g, '…')
    .replace(/^(ARCHIVE_INVALID).*/s, '$1')
    .split('\n')
    .sort()
    .join('\n');
