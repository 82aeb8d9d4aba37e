// Images in use on this host: verified once when they enter, their memory held in a sealed memfd that every VM maps copy-on-write.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkEngine, type EngineRecord, fileOf, type Manifest, readManifest, verifyFile } from './manifest.ts';
import { createMemoryFile, type HeldMemory, type MemoryFile, shareMemoryFile } from './memfd.ts';
import { pageBytes, readPageRuns } from './page-runs.ts';
import { put } from './process-memory.ts';

export interface LoadedImage {
  directory: string;
  manifest: Manifest;
  /** SHA-256 of the manifest file: what snapshots of its VMs refer to. */
  id: string;
  memory: MemoryFile;
  /** Device state, verified. */
  statePath: string;
}

/** Files of an image beside its disk layers. */
export const imageFiles = { memory: 'memory.pages', state: 'device-state' } as const;

/** Held by every VM as long as it lives. */
export interface ImageLease {
  readonly image: LoadedImage;
  /** Idempotent. */
  release(): void;
}

interface Entry {
  loading: Promise<LoadedImage>;
  leases: number;
  /** What of its memory is not zero; 0 until it is loaded. */
  bytes: number;
}

function giveBack({ loading }: Entry): void {
  loading.then(
    ({ memory }) => memory.close(),
    () => {},
  );
}

/** Keeps images that are in use, and the `keep` most recently used ones of the others. */
export class ImageCache {
  readonly #helper: string;
  readonly #engine: (network: EngineRecord['network']) => EngineRecord;
  readonly #keep: number;
  /** By directory, least recently used first. */
  readonly #entries = new Map<string, Entry>();

  constructor(helper: string, engine: (network: EngineRecord['network']) => EngineRecord, keep: number) {
    this.#helper = helper;
    this.#engine = engine;
    this.#keep = keep;
  }

  /**
   * Loads and verifies on first use. `held`: a process that may have the memory of the image with this id already; then it is shared instead of loaded.
   * Rejects with `snapshot_corrupt` or `snapshot_incompatible`.
   */
  async acquire(directory: string, held?: HeldMemory & { id: string }): Promise<ImageLease> {
    const entry = this.#entries.get(directory) ?? { loading: this.#load(directory, held), leases: 0, bytes: 0 };
    this.#entries.delete(directory);
    this.#entries.set(directory, entry);
    entry.leases++;
    try {
      const image = await entry.loading;
      entry.bytes = fileOf(image.manifest, directory, imageFiles.memory).bytes;
      let held = true;
      const release = (): void => {
        if (!held) return;
        held = false;
        entry.leases--;
        if (this.#entries.get(directory) === entry) this.#trim(this.#keep);
        else if (entry.leases === 0) giveBack(entry);
      };
      return { image, release };
    } catch (error) {
      entry.leases--;
      if (this.#entries.get(directory) === entry) this.#entries.delete(directory);
      throw error;
    }
  }

  /** For an image that is no more: its memory is given back now, or with the last lease. */
  forget(directory: string): void {
    const entry = this.#entries.get(directory);
    this.#entries.delete(directory);
    if (entry?.leases === 0) giveBack(entry);
  }

  /** Loaded, and held by no VM. */
  idle(): { image: string; bytes: number }[] {
    const idle = [...this.#entries].filter(([, entry]) => entry.leases === 0);
    return idle.map(([image, { bytes }]) => ({ image, bytes }));
  }

  /** Gives back the memory of everything that is not in use. */
  close(): void {
    this.#trim(0);
  }

  #trim(keep: number): void {
    const idle = [...this.#entries].filter(([, entry]) => entry.leases === 0);
    for (const [directory, entry] of idle.slice(0, Math.max(0, idle.length - keep))) {
      this.#entries.delete(directory);
      giveBack(entry);
    }
  }

  async #load(directory: string, held?: HeldMemory & { id: string }): Promise<LoadedImage> {
    const manifest = await readManifest(directory);
    checkEngine(manifest.engine, this.#engine(manifest.engine.network));
    for (const file of manifest.files)
      if (file.name !== imageFiles.memory) await verifyFile(directory, file, { always: true });
    fileOf(manifest, directory, imageFiles.state);
    const bytes = manifest.memoryMib * 1024 * 1024;
    const record = fileOf(manifest, directory, imageFiles.memory);
    const id = createHash('sha256')
      .update(await readFile(join(directory, 'manifest.json')))
      .digest('hex');
    const path = join(directory, imageFiles.memory);
    const name = `wb-${id.slice(0, 16)}`;
    const load = (): Promise<MemoryFile> =>
      createMemoryFile(this.#helper, name, bytes, { sealed: true }, (fd) =>
        readPageRuns(path, { totalPages: bytes / pageBytes, sha256: record.sha256 }, (run) =>
          put(fd, run.data, run.firstPage * pageBytes),
        ),
      );
    const shared = held?.id === id ? shareMemoryFile(held, name, bytes) : undefined;
    const memory = shared ?? (await load());
    return { directory, manifest, id, memory, statePath: join(directory, imageFiles.state) };
  }
}
