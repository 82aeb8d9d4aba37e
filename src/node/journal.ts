// What is under way with each MicroVM that runs or is about to: written before every act, so that the next server knows what a killed one was doing.
// It lies below the run directory and says nothing that holds after the host's next boot, which ends all VMs; so nothing here is synced.
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { NodeLayout } from './layout.ts';

const schema = z.object({
  format: z.literal(1),
  microvmId: z.string(),
  /** `run`: none is under way, and it runs. */
  act: z.enum(['launch', 'wake', 'run', 'sleep', 'end']),
  /** Number of the snapshot that it runs, or is to run, from; 0: its image. One with a higher number on the disk is whole: it has slept since. */
  from: z.number().int().nonnegative(),
  /** Highest generation of an order for it. */
  orderGeneration: z.number().int().nonnegative(),
  /** Index of its network slot, once it has one that the next server may take over. */
  slot: z.number().int().nonnegative().optional(),
});

export type JournalEntry = z.infer<typeof schema>;
export type JournaledAct = JournalEntry['act'];

export class Journal {
  readonly #directory: string;
  /** The last change under way of each MicroVM's entry: they take effect in the order in which they were asked for. */
  readonly #changes = new Map<string, Promise<void>>();

  constructor(layout: NodeLayout) {
    this.#directory = layout.journal;
  }

  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
  }

  /** Resolves when it survives the end of this process. */
  write(entry: Omit<JournalEntry, 'format'>): Promise<void> {
    const path = this.#path(entry.microvmId);
    return this.#inTurn(entry.microvmId, async () => {
      await writeFile(`${path}.new`, JSON.stringify({ format: 1, ...entry }), { mode: 0o600 });
      await rename(`${path}.new`, path);
    });
  }

  /** Nothing of it runs any more. */
  clear(microvmId: string): Promise<void> {
    const path = this.#path(microvmId);
    return this.#inTurn(microvmId, async () => {
      for (const one of [`${path}.new`, path]) await rm(one, { force: true });
    });
  }

  /** The MicroVMs that have an entry. */
  async microvmIds(): Promise<string[]> {
    const names = await readdir(this.#directory);
    return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  }

  /** Undefined when there is none that can be read. */
  async read(microvmId: string): Promise<JournalEntry | undefined> {
    try {
      const entry = schema.parse(JSON.parse(await readFile(this.#path(microvmId), 'utf8')));
      return entry.microvmId === microvmId ? entry : undefined;
    } catch {
      return undefined;
    }
  }

  #inTurn(microvmId: string, change: () => Promise<void>): Promise<void> {
    const before = this.#changes.get(microvmId) ?? Promise.resolve();
    const turn = before.catch(() => {}).then(change);
    this.#changes.set(microvmId, turn);
    const leave = (): void => {
      if (this.#changes.get(microvmId) === turn) this.#changes.delete(microvmId);
    };
    turn.then(leave, leave);
    return turn;
  }

  #path(microvmId: string): string {
    return join(this.#directory, microvmId + suffix);
  }
}

const suffix = '.json';
