// What is written when a VM becomes an image, and when it falls asleep, all of it while the VM is stopped and could go on: files first, synced; the manifest
// last; then the rename.
import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { freshDirectory, moveIntoPlace, reclaim, remove, syncPath, writeNew } from '../../lib/durable-file.ts';
import { Fault } from '../../lib/errors.ts';
import type { ImageSizes } from '../driver.ts';
import { imageLayers } from './disk-layers.ts';
import { diskUsage } from './disk-usage.ts';
import { imageFiles, type LoadedImage } from './image-cache.ts';
import {
  type EngineRecord,
  type FileRecord,
  type Manifest,
  manifestName,
  recordFile,
  writeManifest,
} from './manifest.ts';
import type { MemoryFile } from './memfd.ts';
import { pageBytes, writePageRuns } from './page-runs.ts';
import { changedPages, filledPages } from './process-memory.ts';
import type { Saver } from './qemu-machine.ts';
import type { VmmProcess } from './vmm-process.ts';

const savedState = 'saved-state';
/** Some hundred KiB are usual. */
const maxStateBytes = 8 << 20;

/** Device state without memory; QEMU may write only in its scratch directory, so it is copied from there. */
async function saveDeviceState(vmm: VmmProcess, runDirectory: string, target: string): Promise<void> {
  const seen = join(vmm.scratch, savedState);
  await rm(seen, { force: true });
  await vmm.qmp.execute('xen-save-devices-state', { filename: join(runDirectory, savedState), live: false });
  await writeNew(target, await readUntrusted(seen));
  await rm(seen);
}

/** A file that someone hostile may have put there: no link out of its directory, no pipe to wait on, no endless size. */
async function readUntrusted(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw new Fault('vmm_failed', { what: 'left something else than a file as its device state' });
    if (facts.size > maxStateBytes) throw new Fault('too_large', { what: 'The device state', limit: maxStateBytes });
    const bytes = Buffer.alloc(facts.size);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

export interface ImageParts {
  directory: string;
  runDirectory: string;
  memory: MemoryFile;
  engine: EngineRecord;
  guest: Manifest['guest'];
  memoryMib: number;
  vcpus: number;
  nowMs: number;
  hasDisk: boolean;
}

export function imageSaver(parts: ImageParts): Saver & { sizes(): Omit<ImageSizes, 'stages'> } {
  const { directory, memory } = parts;
  const sizes = { memoryBytes: 0, diskBytes: 0 };
  const path = (name: string): string => join(directory, name);
  return {
    sizes: () => sizes,
    commit: async (process, stopwatch) => {
      await saveDeviceState(process, parts.runDirectory, path(imageFiles.state));
      stopwatch.lap('state');
      const pages = filledPages(memory.fd, memory.bytes);
      const written = await writePageRuns(path(imageFiles.memory), memory.bytes / pageBytes, pages);
      stopwatch.lap('memory');
      const disks = parts.hasDisk ? Object.values(imageLayers) : [];
      const files: FileRecord[] = [await recordFile(directory, imageFiles.memory, written)];
      for (const name of [imageFiles.state, ...disks]) files.push(await recordFile(directory, name));
      for (const file of files) {
        await reclaim(path(file.name));
        await syncPath(path(file.name));
      }
      const { engine, guest, memoryMib, vcpus } = parts;
      await writeManifest(directory, {
        kind: 'image',
        createdMs: parts.nowMs,
        engine,
        guest,
        memoryMib,
        vcpus,
        files,
        layers: [],
      });
      sizes.memoryBytes = written.bytes;
      sizes.diskBytes = files.reduce((sum, file) => sum + (file.name.endsWith('.qcow2') ? file.bytes : 0), 0);
      stopwatch.lap('files');
    },
    abandon: async () => {
      for (const name of [manifestName, ...Object.values(imageFiles)]) await remove(path(name));
    },
  };
}

export interface SuspendParts {
  /** Where the snapshot appears, whole. */
  directory: string;
  runDirectory: string;
  disks: string;
  image: LoadedImage;
  /** Layers below the one that was written, as verified when they were opened. */
  lowerLayers: FileRecord[];
  topLayer: string | undefined;
  nowMs: number;
}

export function suspendSaver(parts: SuspendParts): Saver & { bytes(): Promise<number> } {
  const { directory, image, disks, topLayer } = parts;
  const aside = join(dirname(directory), `.${basename(directory)}.new`);
  return {
    bytes: async () => (await diskUsage(directory)) + (await diskUsage(disks)),
    commit: async (vmm, stopwatch) => {
      await freshDirectory(aside);
      const { name, bytes, fd } = image.memory;
      const pages = changedPages(vmm.pid, name, bytes, fd);
      const path = (file: string): string => join(aside, file);
      // QEMU writes its devices while we read its memory. All must have come to rest before a failure is dealt with.
      const [state, memory, top] = await allSettled([
        saveDeviceState(vmm, parts.runDirectory, path(imageFiles.state)).then(() =>
          settledFile(aside, imageFiles.state),
        ),
        writePageRuns(path(imageFiles.memory), bytes / pageBytes, pages).then(async (written) => {
          await syncPath(path(imageFiles.memory));
          return recordFile(aside, imageFiles.memory, written);
        }),
        topLayer ? reclaim(join(disks, topLayer)).then(() => settledFile(disks, topLayer)) : undefined,
      ]);
      // A process that the kernel is ending loses its memory bit by bit while it is read. One that answers has lost nothing.
      await vmm.qmp.execute('query-status');
      stopwatch.lap('save');
      const layers = top ? [...parts.lowerLayers, top] : [];
      const { engine, guest, memoryMib, vcpus } = image.manifest;
      const what = {
        kind: 'microvm',
        base: image.id,
        createdMs: parts.nowMs,
        engine,
        guest,
        memoryMib,
        vcpus,
      } as const;
      await writeManifest(aside, { ...what, files: [state, memory], layers });
      if (topLayer) await syncPath(disks);
      await moveIntoPlace(aside, directory);
      stopwatch.lap('commit');
    },
    abandon: () => remove(aside),
  };
}

/** Resolves with all values, or rejects with the first reason once nothing is under way any more. */
async function allSettled<A, B, C>(work: [Promise<A>, Promise<B>, C]): Promise<[A, B, Awaited<C>]> {
  await Promise.allSettled(work);
  return Promise.all(work) as Promise<[A, B, Awaited<C>]>;
}

/** Syncs and hashes a file that nobody writes while the VM is stopped. */
async function settledFile(directory: string, name: string): Promise<FileRecord> {
  const [record] = await Promise.all([recordFile(directory, name), syncPath(join(directory, name))]);
  return record;
}
