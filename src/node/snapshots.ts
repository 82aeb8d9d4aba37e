// The snapshots of one MicroVM on this host's disk: the newest whole one, and the merge of its disk layers while it sleeps.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { remove } from '../lib/durable-file.ts';
import { describe } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Driver } from '../vmm/driver.ts';
import { isLayerName, layersOf } from '../vmm/snapshot-layers.ts';
import type { ImageFacts } from './image-facts.ts';
import { type NodeLayout, vmPaths } from './layout.ts';
import { type MergePlan, mergePlan } from './merge-policy.ts';

export interface SnapshotTools {
  driver: Driver;
  layout: NodeLayout;
  log: Log;
}

export class Snapshots {
  readonly disks: string;
  readonly #tools: SnapshotTools;
  readonly #microvmId: string;
  readonly #image: string;
  readonly #facts: ImageFacts;
  readonly #pathOf: (generation: number) => string;
  /** Of the newest whole snapshot; 0 before the first. */
  #generation: number;
  #sleepsSinceMerge = 0;
  /** At the last sleep of this server's time. */
  #asleepBytes = 0;
  #merging: { abort: AbortController; done: Promise<void> } | undefined;

  constructor(tools: SnapshotTools, microvmId: string, image: string, facts: ImageFacts, generation: number) {
    this.#tools = tools;
    this.#microvmId = microvmId;
    this.#image = image;
    this.#facts = facts;
    this.#generation = generation;
    const { disks, snapshot } = vmPaths(tools.layout, microvmId);
    this.disks = disks;
    this.#pathOf = snapshot;
  }

  /** Number of the newest whole one; 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  /** Path of the newest whole one; undefined before the first. */
  get newest(): string | undefined {
    return this.#generation > 0 ? this.#pathOf(this.#generation) : undefined;
  }

  /** Where the next one goes. */
  get next(): string {
    return this.#pathOf(this.#generation + 1);
  }

  /** The one at `next` is whole; it occupies `bytes`. Its layers are merged in the background; whoever comes next calls `rest`. */
  taken(bytes: number): void {
    const previous = this.newest;
    this.#generation += 1;
    this.#sleepsSinceMerge += 1;
    this.#asleepBytes = bytes;
    if (previous !== undefined) this.#discard(previous);
    this.#merge();
  }

  /** Resolves when nothing is being merged: a merge under way is given up, unless `forWake` and it has been put off for too long. */
  async rest(forWake = false): Promise<void> {
    const merging = this.#merging;
    this.#merging = undefined;
    if (!forWake || !this.#plan.mustFinish) merging?.abort.abort();
    await merging?.done;
  }

  /** Whether layers are being merged. */
  get isMerging(): boolean {
    return this.#merging !== undefined;
  }

  /** What a waking time wrote that did not end in a sleep. Only while it sleeps and is not woken. Never rejects: the next wake replaces what stays. */
  async dropStrayLayers(): Promise<void> {
    try {
      const named = this.newest === undefined ? undefined : await layersOf(this.newest);
      if (!named) return;
      for (const name of await readdir(this.disks))
        if (isLayerName(name) && !named.has(name)) await remove(join(this.disks, name));
    } catch (error) {
      this.#tools.log.warn('layers_not_removed', { microvmId: this.#microvmId, why: describe(error) });
    }
  }

  get #plan(): MergePlan {
    return mergePlan(this.#facts, this.#sleepsSinceMerge, this.#asleepBytes);
  }

  #merge(): void {
    const { driver, log } = this.#tools;
    const snapshot = this.#pathOf(this.#generation);
    const abort = new AbortController();
    const order = { image: this.#image, snapshot, disks: this.disks, target: this.next, from: this.#plan.from };
    const done = driver.compact({ ...order, signal: abort.signal }).then(
      (made) => {
        if (!made) return;
        this.#generation += 1;
        this.#sleepsSinceMerge = 0;
        this.#asleepBytes = 0;
        this.#discard(snapshot);
      },
      (error: unknown) => {
        if (!abort.signal.aborted) log.warn('layers_not_merged', { microvmId: this.#microvmId, why: describe(error) });
      },
    );
    const merging = { abort, done };
    this.#merging = merging;
    void done.then(() => {
      if (this.#merging === merging) this.#merging = undefined;
    });
  }

  /** A snapshot that a newer one has replaced. What a crash leaves of it, the next start removes. */
  #discard(snapshot: string): void {
    remove(snapshot).catch((error: unknown) => {
      this.#tools.log.error('snapshot_not_removed', { snapshot, why: describe(error) });
    });
  }
}
