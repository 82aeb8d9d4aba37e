// What is written when a VM becomes an image, and when it falls asleep. Files first, synced; the manifest last; then the rename.
import { constants } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { freshDirectory, moveIntoPlace, reclaim, remove, syncPath, writeNew } from '../../lib/durable-file.ts';
import { Fault } from '../../lib/errors.ts';
import type { Stopwatch } from '../../lib/stopwatch.ts';
import type { ImageSizes } from '../driver.ts';
import { imageLayers } from './disk-layers.ts';
import { diskUsage } from './disk-usage.ts';
import { imageFiles, type LoadedImage } from './image-cache.ts';
import { type EngineRecord, type FileRecord, type Manifest, recordFile, writeManifest } from './manifest.ts';
import type { MemoryFile } from './memfd.ts';
import { type PageRunFile, pageBytes, writePageRuns } from './page-runs.ts';
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
  let written: PageRunFile | undefined;
  const path = (name: string): string => join(directory, name);
  return {
    sizes: () => sizes,
    capture: async (process, stopwatch) => {
      await saveDeviceState(process, parts.runDirectory, path(imageFiles.state));
      stopwatch.lap('state');
      const pages = filledPages(memory.fd, memory.bytes);
      written = await writePageRuns(path(imageFiles.memory), memory.bytes / pageBytes, pages);
      stopwatch.lap('memory');
    },
    complete: async (gone, stopwatch) => {
      await gone;
      stopwatch.lap('end');
      if (!written) throw new Fault('internal', { what: 'An image was completed before its memory was captured.' });
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
      for (const name of Object.values(imageFiles)) await remove(path(name));
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
  const { directory, image } = parts;
  const aside = join(dirname(directory), `.${basename(directory)}.new`);
  let memory: PageRunFile | undefined;
  return {
    bytes: async () => (await diskUsage(directory)) + (await diskUsage(parts.disks)),
    capture: async (process, stopwatch) => {
      await freshDirectory(aside);
      const { name, bytes, fd } = image.memory;
      const pages = changedPages(process.pid, name, bytes, fd);
      // QEMU writes its devices while we read its memory. Both must have come to rest before a failure is dealt with.
      const [state, written] = await Promise.allSettled([
        saveDeviceState(process, parts.runDirectory, join(aside, imageFiles.state)),
        writePageRuns(join(aside, imageFiles.memory), bytes / pageBytes, pages),
      ]);
      if (state.status === 'rejected') throw state.reason;
      if (written.status === 'rejected') throw written.reason;
      memory = written.value;
      stopwatch.lap('save');
      // A disk that is full says so here, while the VM can still go on.
      const top = parts.topLayer ? [join(parts.disks, parts.topLayer)] : [];
      await Promise.all([join(aside, imageFiles.state), join(aside, imageFiles.memory), ...top].map(syncPath));
      stopwatch.lap('sync');
    },
    complete: (gone, stopwatch) => completeSuspend(parts, aside, memory, gone, stopwatch),
    abandon: () => remove(aside),
  };
}

async function completeSuspend(
  parts: SuspendParts,
  aside: string,
  memory: PageRunFile | undefined,
  gone: Promise<void>,
  stopwatch: Stopwatch,
): Promise<void> {
  if (!memory) throw new Fault('internal', { what: 'A snapshot was completed before its memory was captured.' });
  const { image, disks, topLayer } = parts;
  const { engine, guest, memoryMib, vcpus } = image.manifest;
  const what = { kind: 'microvm', base: image.id, createdMs: parts.nowMs, engine, guest, memoryMib, vcpus } as const;
  const files = await Promise.all([recordFile(aside, imageFiles.state), recordFile(aside, imageFiles.memory, memory)]);
  const top = topLayer ? await settledLayer(disks, topLayer, gone) : undefined;
  await gone;
  stopwatch.lap('end');
  await writeManifest(aside, { ...what, files, layers: top ? [...parts.lowerLayers, top] : [] });
  if (topLayer) await syncPath(disks);
  await moveIntoPlace(aside, parts.directory);
  stopwatch.lap('commit');
}

/**
 * The record of a layer whose VMM is on its way out. It is hashed meanwhile; should the file have changed until the VMM is gone, which `stop`
 * and a kill leave no reason for, it is hashed again.
 */
async function settledLayer(disks: string, name: string, gone: Promise<void>): Promise<FileRecord> {
  const path = join(disks, name);
  const look = async (): Promise<string> => {
    const { size, mtimeNs } = await stat(path, { bigint: true });
    return `${size} ${mtimeNs}`;
  };
  await reclaim(path);
  const before = await look();
  const record = await recordFile(disks, name);
  await gone;
  if ((await look()) === before) return record;
  await syncPath(path);
  return recordFile(disks, name);
}
