// Where one host keeps things. Everything durable is below the data directory; sockets are below a short run directory, which a crash may leave and a start clears.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

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
}

/** A short name of this data directory, for namespaces and the run directory. */
export const instanceOf = (dataDirectory: string): string =>
  createHash('sha256').update(dataDirectory).digest('hex').slice(0, 5);

export function nodeLayout(dataDirectory: string, instance: string): NodeLayout {
  const at = (name: string): string => join(dataDirectory, name);
  // Unix socket paths end at 108 bytes, and the data directory may be anywhere.
  return {
    data: dataDirectory,
    images: at('images'),
    logs: at('logs'),
    vms: at('vms'),
    buildCaches: at('build-cache'),
    archives: at('archives'),
    run: `/run/waterbear-${instance}`,
  };
}

export const vmPaths = (layout: NodeLayout, microvmId: string) => {
  const directory = join(layout.vms, microvmId);
  return {
    directory,
    record: join(directory, 'microvm.json'),
    disks: join(directory, 'disk'),
    snapshot: (generation: number): string => join(directory, `sleep-${generation}`),
  };
};
