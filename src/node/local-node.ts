// One host in this process: its images, its MicroVMs, the driver that runs them and the slots they are wired to.
import { join } from 'node:path';
import { type Builder, buildImage } from '../build/build-image.ts';
import { readImageRecord } from '../build/image-record.ts';
import type { Readiness } from '../build/readiness.ts';
import type {
  BuildOrder,
  BuildOutcome,
  EndReason,
  LaunchOrder,
  LaunchReport,
  NodeClient,
} from '../contract/node-api.ts';
import { remove } from '../lib/durable-file.ts';
import { Fault, isFault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { SlotPool } from '../net/slot.ts';
import type { Driver } from '../vmm/driver.ts';
import type { Admission } from './admission/admission.ts';
import type { Hold } from './admission/memory-ledger.ts';
import { buildDriver } from './build-driver.ts';
import { openBuildLog, readBuildLog } from './build-log.ts';
import { demandOf, unknownImage } from './image-facts.ts';
import type { NodeLayout } from './layout.ts';
import { recover } from './recover.ts';
import { Resident, type ResidentTools } from './resident.ts';
import { newRecord, writeRecord } from './vm-record.ts';

export interface LocalNodeParts {
  driver: Driver;
  builder: Builder;
  /** Absent for the fake driver. */
  slots: SlotPool | undefined;
  runStepsOnline: boolean;
  /** A host without egress confines everybody; one with it cannot yet leave out a single MicroVM. */
  confinesEgress: boolean;
  layout: NodeLayout;
  readiness: Readiness;
  admission: Admission;
  log: Log;
}

/** Starts the host: clears leftovers, finds what sleeps. */
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
  const tools: ResidentTools = {
    ...parts,
    closing: closing.signal,
    onEnded(microvmId, reason) {
      residents.delete(microvmId);
      log.warn('microvm_ended', { microvmId, ...reason });
      for (const listener of listeners) listener(microvmId, reason);
    },
  };
  const imageDirectory = (buildId: string): string => join(layout.images, buildId);
  const logPath = (buildId: string): string => join(layout.logs, `${buildId}.log`);
  const resident = (microvmId: string): Resident => {
    const found = residents.get(microvmId);
    if (!found) throw new Fault('not_found', { what: `This host has no MicroVM ${microvmId}.`, kind: 'microvm' });
    return found;
  };
  for (const { record, generation } of await recover(layout, log)) {
    const image = await readImageRecord(imageDirectory(record.buildId)).catch(() => unknownImage);
    residents.set(record.microvmId, new Resident(tools, record, imageDirectory(record.buildId), image, generation));
  }

  const removeImage = async (buildId: string): Promise<void> => {
    await remove(imageDirectory(buildId));
    driver.forget(imageDirectory(buildId));
  };

  const build = async (
    order: BuildOrder,
    onLog: (text: string) => void,
    signal: AbortSignal,
  ): Promise<BuildOutcome> => {
    const buildLog = await openBuildLog(logPath(order.buildId), onLog);
    let room: Hold | undefined;
    try {
      room = await admission.build(order, signal);
      const runDirectory = `${layout.run}/b-${order.buildId.slice(0, 8)}`;
      const buildTools = { ...parts, driver: buildDriver(driver, admission, order), runDirectory };
      const target = imageDirectory(order.buildId);
      const outcome = await buildImage(buildTools, order, target, (text) => buildLog.write(text), signal);
      await driver.preload(target).catch(async (error: unknown) => {
        await removeImage(order.buildId);
        throw error;
      });
      return outcome;
    } catch (error) {
      buildLog.write(`--- failed: ${error instanceof Error ? error.message : error}\n`);
      throw error;
    } finally {
      room?.release();
      await buildLog.flush();
    }
  };

  const launch = async (order: LaunchOrder): Promise<LaunchReport> => {
    const { microvmId, buildId, account = '' } = order;
    if (residents.has(microvmId)) throw new Fault('conflict', { what: `${microvmId} exists already.` });
    const image = await readImageRecord(imageDirectory(buildId)).catch((error: unknown) => {
      admission.giveBack(microvmId);
      throw error;
    });
    const record = newRecord(microvmId, buildId, account);
    const made = new Resident(tools, record, imageDirectory(buildId), image, 0);
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

  const terminate = async (microvmId: string): Promise<void> => {
    admission.giveBack(microvmId);
    const found = residents.get(microvmId);
    if (!found) return;
    await found.end();
    residents.delete(microvmId);
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
      return tracked(build(order, onLog, signal));
    },

    buildLog: (buildId) => readBuildLog(logPath(buildId)),

    async reserve({ microvmId, buildId }) {
      await admission.reserve(microvmId, demandOf(buildId, await readImageRecord(imageDirectory(buildId))));
    },

    launch: (order) => tracked(launch(order)),
    suspend: async (microvmId) => tracked(resident(microvmId).sleep()),
    resume: async (microvmId) => tracked(resident(microvmId).wake('resume')),
    terminate: (microvmId) => tracked(terminate(microvmId)),
    relayOf: (microvmId) => residents.get(microvmId)?.relay,

    statistics: async (microvmId) => resident(microvmId).statistics(),

    onEnded: (listener) => void listeners.push(listener),

    list: () =>
      [...residents.values()].map(({ record, state }) => ({
        microvmId: record.microvmId,
        buildId: record.buildId,
        state,
      })),

    async deleteImage(buildId) {
      await removeImage(buildId);
      await remove(logPath(buildId));
    },

    async close() {
      closing.abort();
      admission.close();
      const results = await Promise.allSettled([...residents.values()].map((one) => one.kill()));
      await Promise.all(underway);
      for (const result of results) if (result.status === 'rejected' && !isFault(result.reason)) throw result.reason;
      await remove(layout.run);
    },
  };
}
