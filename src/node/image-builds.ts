// The images of this host: built aside, then there as a whole; and gone as a whole.
import { join } from 'node:path';
import { type Builder, buildImage } from '../build/build-image.ts';
import type { Readiness } from '../build/readiness.ts';
import type { BuildOrder, BuildOutcome } from '../contract/node-api.ts';
import { Fault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { SlotPool } from '../net/slot.ts';
import type { Driver } from '../vmm/driver.ts';
import type { Admission } from './admission/admission.ts';
import type { Hold } from './admission/memory-ledger.ts';
import { buildDriver } from './build-driver.ts';
import { openBuildLog, readBuildLog } from './build-log.ts';
import type { Cleaning } from './cleaning.ts';
import type { NodeLayout } from './layout.ts';

export interface ImageBuildParts {
  driver: Driver;
  builder: Builder;
  /** Absent for the fake driver. */
  slots: SlotPool | undefined;
  runStepsOnline: boolean;
  layout: NodeLayout;
  readiness: Readiness;
  admission: Admission;
  log: Log;
}

export class ImageBuilds {
  /** Ids of those that were asked for and have not ended. */
  readonly underWay = new Set<string>();
  readonly #parts: ImageBuildParts;
  readonly #cleaning: Cleaning;
  readonly #cleared: Promise<void>;
  readonly #stopping = new AbortController();

  /** No build begins before `cleared`, the end of what is left of earlier ones. */
  constructor(parts: ImageBuildParts, cleaning: Cleaning, cleared: Promise<void>) {
    this.#parts = parts;
    this.#cleaning = cleaning;
    this.#cleared = cleared;
  }

  directory(buildId: string): string {
    return join(this.#parts.layout.images, buildId);
  }

  logPath(buildId: string): string {
    return join(this.#parts.layout.logs, `${buildId}.log`);
  }

  /** Ends the builds under way; no other begins. */
  stop(): void {
    this.#stopping.abort();
  }

  async removeImage(buildId: string): Promise<void> {
    await this.#cleaning.removeDirectory(this.directory(buildId));
    this.#parts.driver.forget(this.directory(buildId));
  }

  /** As `NodeClient.build`. */
  async build(order: BuildOrder, onLog: (text: string) => void, cancelled: AbortSignal): Promise<BuildOutcome> {
    this.underWay.add(order.buildId);
    try {
      return await this.#build(order, onLog, cancelled);
    } finally {
      this.underWay.delete(order.buildId);
    }
  }

  async #build(order: BuildOrder, onLog: (text: string) => void, cancelled: AbortSignal): Promise<BuildOutcome> {
    const { admission, driver, layout } = this.#parts;
    const { buildId } = order;
    const signal = AbortSignal.any([cancelled, this.#stopping.signal]);
    const isAgain = (await readBuildLog(this.logPath(buildId))) !== '';
    const buildLog = await openBuildLog(this.logPath(buildId), onLog);
    if (isAgain) buildLog.write('--- built again: the server ended during the build\n');
    let room: Hold | undefined;
    try {
      await this.#cleared;
      if (signal.aborted) throw new Fault('aborted', { what: 'The build' });
      // Of a build whose end was not recorded any more.
      await this.removeImage(buildId);
      room = await admission.build(order, signal);
      const runDirectory = `${layout.run}/b-${buildId.slice(0, 8)}`;
      const tools = { ...this.#parts, driver: buildDriver(driver, admission, order), runDirectory };
      const target = this.directory(buildId);
      const outcome = await buildImage(tools, order, target, (text) => buildLog.write(text), signal);
      await driver.preload(target).catch(async (error: unknown) => {
        await this.removeImage(buildId);
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
  }
}
