// Where one host keeps things. Everything durable is below the data directory; what describes VMs that run, and their sockets, is below the run
// directory, which ends with the host's next boot.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { namesIn } from '../lib/read-file.ts';
import { isId } from './names.ts';

export interface NodeLayout {
  /** The data directory itself. */
  data: string;
  images: string;
  logs: string;
  vms: string;
  buildCaches: string;
  /** Zips that builds read. */
  archives: string;
  run: string;
  /** What is under way with which MicroVM; below the run directory. */
  journal: string;
}

/** A short name of this data directory, for namespaces and the run directory. */
export const instanceOf = (dataDirectory: string): string =>
  createHash('sha256').update(dataDirectory).digest('hex').slice(0, 5);

/** Unix socket paths end at 108 bytes and the data directory may be anywhere, so the run directory is a short one. */
export function nodeLayout(dataDirectory: string, instance: string, run = `/run/waterbear-${instance}`): NodeLayout {
  const at = (name: string): string => join(dataDirectory, name);
  return {
    data: dataDirectory,
    images: at('images'),
    logs: at('logs'),
    vms: at('vms'),
    buildCaches: at('build-cache'),
    archives: at('archives'),
    run,
    journal: join(run, 'journal'),
  };
}

export const vmPaths = (layout: NodeLayout, microvmId: string) => {
  const directory = join(layout.vms, microvmId);
  return {
    directory,
    record: join(directory, 'microvm.json'),
    disks: join(directory, 'disk'),
    run: join(layout.run, microvmId.slice(-12)),
    snapshot: (generation: number): string => join(directory, `sleep-${generation}`),
  };
};

/**
 * Ids of the images or MicroVMs in `directory` that are whole: what is being made or removed has a dot in its name. None where there is no such directory;
 * rejects when the disk does not say.
 */
export const wholeNames = async (directory: string): Promise<string[]> =>
  (await namesIn(directory)).filter(isId).sort();
