// One host in this process: its images, its MicroVMs, the driver that runs them and the slots they are wired to.
import { mkdir, readdir } from 'node:fs/promises';
import { readImageRecord } from '../build/image-record.ts';
import type { EndReason, LaunchOrder, LaunchReport, NodeClient, NodeMicrovm } from '../contract/node-api.ts';
import type { Clock } from '../lib/clock.ts';
import { makeDirectory, remove } from '../lib/durable-file.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { readBuildLog } from './build-log.ts';
import { Cleaning } from './cleaning.ts';
import { type ImageBuildParts, ImageBuilds } from './image-builds.ts';
import { demandOf } from './image-facts.ts';
import { type DiscardActs, discard } from './inventory/discard.ts';
import { takeInventory } from './inventory/inventory.ts';
import type { HeldMicrovm, InventorySources } from './inventory/sources.ts';
import { Journal } from './journal.ts';
import { type NodeLayout, vmPaths } from './layout.ts';
import { isId } from './names.ts';
import { Recovery } from './recovery.ts';
import { Resident } from './resident.ts';
import type { ResidentTools } from './resident-tools.ts';
import { newRecord, writeRecord } from './vm-record.ts';

export interface LocalNodeParts extends ImageBuildParts {
  /** A host without egress confines everybody; one with it cannot yet leave out a single MicroVM. */
  confinesEgress: boolean;
  clock: Clock;
  /** By the clock that dates files; default the machine's. */
  fileTime?: () => number;
}

/** Starts the host. What an earlier server left is seen to in the background: see `NodeClient.settled`. */
export async function createLocalNode(parts: LocalNodeParts): Promise<NodeClient> {
  const { driver, layout, admission, log } = parts;
  const closing = new AbortController();
  /** Builds and changes of MicroVMs: they end before the host does. */
  const underway = new Set<Promise<void>>();
  const tracked = <T>(work: Promise<T>): Promise<T> => {
    const ended = work.then(
      () => {},
      () => {},
    );
    underway.add(ended);
    void ended.then(() => underway.delete(ended));
    return work;
  };
  const residents = new Map<string, Resident>();
  const listeners: ((microvmId: string, reason: EndReason) => void)[] = [];
  const cleaning = new Cleaning(parts.clock, log);
  const journal = new Journal(layout);
  const tools: ResidentTools = {
    ...parts,
    ...{ journal, cleaning, closing: closing.signal },
    onEnded(microvmId, reason, asleep) {
      if (!asleep) residents.delete(microvmId);
      log.warn('microvm_ended', { microvmId, ...reason, asleep });
      for (const listener of listeners) listener(microvmId, reason);
    },
  };
  await makeDirectories(layout);
  await journal.open();
  const directories = (await readdir(layout.vms)).filter(isId);
  const recovery = new Recovery(tools, residents, { directories, journal: await journal.microvmIds() });
  const builds = new ImageBuilds(parts, cleaning, recovery.buildsCleared);

  const settledResident = async (microvmId: string, generation: number | undefined): Promise<Resident> => {
    await recovery.settled(microvmId);
    const found = residents.get(microvmId);
    if (!found) throw new Fault('not_found', { what: `This host has no MicroVM ${microvmId}.`, kind: 'microvm' });
    found.take(generation);
    return found;
  };

  const launch = async (order: LaunchOrder): Promise<LaunchReport> => {
    const { microvmId, buildId, account = '', generation = 0 } = order;
    await recovery.settled(microvmId);
    if (residents.has(microvmId)) throw new Fault('conflict', { what: `${microvmId} exists already.` });
    const image = await readImageRecord(builds.directory(buildId)).catch((error: unknown) => {
      admission.giveBack(microvmId);
      throw error;
    });
    const record = newRecord(microvmId, buildId, account, generation);
    const made = new Resident(tools, record, builds.directory(buildId), image, 0);
    residents.set(microvmId, made);
    try {
      await writeRecord(layout, record);
      return await made.wake('run', JSON.stringify({ microvmId, runHookPayload: order.runHookPayload ?? '' }));
    } catch (error) {
      residents.delete(microvmId);
      admission.giveBack(microvmId);
      await made.remove();
      throw error;
    }
  };

  const terminate = async (microvmId: string, generation: number | undefined): Promise<void> => {
    admission.giveBack(microvmId);
    await recovery.settled(microvmId);
    const found = residents.get(microvmId);
    if (!found) return;
    found.take(generation);
    await found.end();
    residents.delete(microvmId);
  };

  const find = (microvmId: string): NodeMicrovm | undefined => {
    const one = residents.get(microvmId);
    if (!one) {
      return recovery.isPending(microvmId) ? { microvmId, state: 'recovering', snapshot: 0, generation: 0 } : undefined;
    }
    const { state, snapshot, orderGeneration: generation, record } = one;
    return { microvmId, buildId: record.buildId, state, snapshot, generation };
  };

  const held = (): Map<string, HeldMicrovm> => {
    const one = (microvmId: string): [string, HeldMicrovm] => [
      microvmId,
      { atRest: residents.get(microvmId)?.atRest ?? false, run: vmPaths(layout, microvmId).run },
    ];
    return new Map([...residents.keys(), ...recovery.pending].map(one));
  };
  const fileTime = parts.fileTime ?? Date.now;
  const sources: InventorySources = { ...parts, held, builds: () => builds.underWay, fileTime };
  const acts: DiscardActs = {
    async endMicrovm(microvmId) {
      await terminate(microvmId, undefined);
      await cleaning.removeDirectory(vmPaths(layout, microvmId).directory);
    },
    removeImage: (buildId) => builds.removeImage(buildId),
    whileAtRest: async (microvmId, work) => (await settledResident(microvmId, undefined)).whileAtRest(work),
  };

  const rest = async (): Promise<void> => {
    // What still runs of an earlier server is either ours by then or nobody's: it is not ended half taken over.
    await recovery.adopted;
    cleaning.close();
    admission.close();
  };

  return {
    info: () => ({
      driver: driver.name,
      accelerator: driver.accelerator,
      architecture: process.arch === 'arm64' ? 'ARM_64' : 'X86_64',
      confinesEgress: parts.confinesEgress,
      capacity: admission.capacity,
    }),

    checkBuild: (order) => admission.checkBuild(order),

    build(order, onLog, cancelled) {
      const signal = cancelled ? AbortSignal.any([closing.signal, cancelled]) : closing.signal;
      return tracked(builds.build(order, onLog, signal));
    },

    buildLog: (buildId) => readBuildLog(builds.logPath(buildId)),

    async reserve({ microvmId, buildId }) {
      await admission.reserve(microvmId, demandOf(buildId, await readImageRecord(builds.directory(buildId))));
    },

    launch: (order) => tracked(launch(order)),
    suspend: (microvmId, generation) =>
      tracked(settledResident(microvmId, generation).then((resident) => resident.sleep())),
    resume: (microvmId, generation) =>
      tracked(settledResident(microvmId, generation).then((resident) => resident.wake('resume'))),
    terminate: (microvmId, generation) => tracked(terminate(microvmId, generation)),
    relayOf: (microvmId) => residents.get(microvmId)?.relay,

    async statistics(microvmId) {
      if (recovery.isPending(microvmId)) return undefined;
      return (await settledResident(microvmId, undefined)).statistics();
    },

    onEnded: (listener) => void listeners.push(listener),

    list: () => [...new Set([...residents.keys(), ...recovery.pending])].flatMap((microvmId) => find(microvmId) ?? []),
    find,

    settled: (microvmId) => recovery.settled(microvmId),
    leftovers: () => cleaning.leftovers,

    async deleteImage(buildId) {
      await builds.removeImage(buildId);
      await remove(builds.logPath(buildId));
    },

    inventory: () => takeInventory(sources),
    discard: (ids) => tracked(discard(sources, acts, ids)),

    async close() {
      await rest();
      closing.abort();
      const results = await Promise.allSettled([...residents.values()].map((one) => one.kill()));
      await Promise.all(underway);
      for (const result of results) if (result.status === 'rejected' && !isFault(result.reason)) throw result.reason;
      await remove(layout.run);
    },

    async leave() {
      await rest();
      // Steps under way come to their end first: each has its deadlines. Builds end.
      builds.stop();
      await Promise.all(underway);
      const left = await Promise.all([...residents.values()].map((one) => one.leave()));
      closing.abort();
      const running = left.filter((runs) => runs).length;
      if (running === 0) await remove(layout.run);
      return running;
    },
  };
}

async function makeDirectories(layout: NodeLayout): Promise<void> {
  for (const directory of [layout.images, layout.logs, layout.vms]) await makeDirectory(directory);
  await mkdir(layout.run, { recursive: true, mode: 0o711 });
}
