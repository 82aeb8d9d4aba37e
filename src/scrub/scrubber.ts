// Passes over everything, one at a time, by themselves every few days or on request; and what they have found, which outlives the server.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Damage, Scrubber, ScrubPass, ScrubStatus } from '../contract/integrity.ts';
import type { Clock } from '../lib/clock.ts';
import { writeDurably } from '../lib/durable-file.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { readSmallFile } from '../lib/read-file.ts';
import { openSealed, sealJson } from '../lib/sealed-json.ts';
import { type ScrubPlaces, scrubPass } from './pass.ts';
import { Reading } from './reading.ts';

const dayMs = 86_400_000;
const maxFileBytes = 16 << 20;
/** A disk that fails as a whole is told by its first files. */
const maxDamage = 1_000;

const schema = z.object({
  format: z.literal(1),
  /** From when on the first pass is counted. */
  sinceMs: z.number(),
  last: z
    .object({
      startedAtMs: z.number(),
      endedAtMs: z.number(),
      files: z.number(),
      bytes: z.number(),
      ledger: z.object({ count: z.number(), checksum: z.string() }),
    })
    .optional(),
  damage: z.array(
    z.object({
      file: z.string(),
      why: z.string(),
      foundAtMs: z.number(),
      microvmId: z.string().optional(),
      buildId: z.string().optional(),
    }),
  ),
});
type Kept = z.output<typeof schema>;

export interface ScrubberOptions extends ScrubPlaces {
  /** Days between two passes; 0: none by itself. */
  everyDays: number;
  mibPerSecond: number;
  clock: Clock;
  log: Log;
}

export interface OpenScrubber extends Scrubber, AsyncDisposable {
  /** Throws `snapshot_corrupt` when one of the files below these directories is known to be damaged. */
  refuseDamaged(directories: readonly string[]): void;
  /** Resolves when no pass is under way. */
  idle(): Promise<void>;
}

/** A file that cannot be read is begun anew: all that is in it comes back with the next pass. */
export async function openScrubber(options: ScrubberOptions): Promise<OpenScrubber> {
  const path = join(options.dataDirectory, 'scrub.json');
  const kept = await load(path).catch((error: unknown) => {
    options.log.warn('scrub.file_unreadable', { path, error: describe(error) });
    return undefined;
  });
  const scrubber = new DirectoryScrubber(
    options,
    path,
    kept ?? { format: 1, sinceMs: options.clock.now(), damage: [] },
  );
  if (!kept) await scrubber.save();
  return scrubber;
}

async function load(path: string): Promise<Kept | undefined> {
  const text = await readSmallFile(path, maxFileBytes);
  return text === undefined ? undefined : schema.parse(JSON.parse(openSealed(text)));
}

class DirectoryScrubber implements OpenScrubber {
  readonly #options: ScrubberOptions;
  readonly #path: string;
  #closing = false;
  #kept: Kept;
  #pass: { startedAtMs: number; reading: Reading; abort: AbortController; done: Promise<void> } | undefined;

  constructor(options: ScrubberOptions, path: string, kept: Kept) {
    this.#options = options;
    this.#path = path;
    this.#kept = kept;
  }

  save(): Promise<void> {
    return this.#write(this.#kept);
  }

  #write(kept: Kept): Promise<void> {
    return writeDurably(this.#path, sealJson(kept));
  }

  status(): ScrubStatus {
    const { everyDays, mibPerSecond } = this.#options;
    const { last } = this.#kept;
    const damage = this.#kept.damage.filter((one) => this.#stillThere(one));
    const { startedAtMs, reading } = this.#pass ?? {};
    const underWay =
      startedAtMs === undefined || !reading
        ? {}
        : { underWay: { startedAtMs, files: reading.files, bytes: reading.bytes } };
    return { everyDays, mibPerSecond, ...underWay, ...(last ? { last: last as ScrubPass } : {}), damage };
  }

  damageOf({ microvmId, buildId }: { microvmId?: string; buildId?: string }): Damage[] {
    return this.#kept.damage.filter(
      (one) =>
        (microvmId !== undefined && one.microvmId === microvmId) || (buildId !== undefined && one.buildId === buildId),
    );
  }

  refuseDamaged(directories: readonly string[]): void {
    const damaged = this.#kept.damage.find(({ file }) =>
      directories.some((directory) => file.startsWith(`${directory}/`)),
    );
    if (!damaged) return;
    const why = `${damaged.why}, as the scrubber found; scrub again when it was put right`;
    throw new Fault('snapshot_corrupt', { file: damaged.file, why });
  }

  startWhenDue(): boolean {
    const { everyDays, clock } = this.#options;
    const { last, sinceMs } = this.#kept;
    if (this.#pass || everyDays === 0 || clock.now() < (last?.endedAtMs ?? sinceMs) + everyDays * dayMs) return false;
    this.start();
    return true;
  }

  start(mibPerSecond = this.#options.mibPerSecond): void {
    if (this.#closing) return;
    const { clock, log } = this.#options;
    const [before, abort] = [this.#pass, new AbortController()];
    const { signal } = abort;
    before?.abort.abort();
    const reading = new Reading({ clock, mibPerSecond, signal });
    const startedAtMs = clock.now();
    log.info('scrub.started', { mibPerSecond });
    const done = Promise.resolve(before?.done)
      .then(() => this.#run(reading, startedAtMs, signal))
      .catch((error: unknown) => {
        if (!isFault(error, 'aborted')) log.error('scrub.failed', { error: describe(error) });
      })
      .finally(() => {
        if (this.#pass?.reading === reading) this.#pass = undefined;
      });
    this.#pass = { startedAtMs, reading, abort, done };
  }

  async idle(): Promise<void> {
    await this.#pass?.done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#pass?.abort.abort();
    await this.idle();
  }

  async #run(reading: Reading, startedAtMs: number, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const found: Damage[] = [];
    const onDamage = async (one: Omit<Damage, 'foundAtMs'>): Promise<void> => {
      if (found.length >= maxDamage) return;
      const known = this.#kept.damage.find(({ file, why }) => file === one.file && why === one.why);
      const damage = known ?? { ...one, foundAtMs: clock.now() };
      found.push(damage);
      log.error('scrub.damaged_file', { ...one });
      if (known) return;
      // At once: what it belongs to must not be used any more, whatever becomes of this pass.
      this.#kept = { ...this.#kept, damage: [...this.#kept.damage, damage] };
      await this.save();
    };
    const ledger = await scrubPass(this.#options, reading, onDamage, signal);
    const { files, bytes } = reading;
    const last = { startedAtMs, endedAtMs: clock.now(), files, bytes, ledger };
    const next = { ...this.#kept, last, damage: found };
    await this.#write(next);
    // Whoever sees this pass as the last one may begin another.
    this.#kept = next;
    log.info('scrub.ended', { files, bytes, damaged: found.length, ms: last.endedAtMs - startedAtMs });
  }

  /** What belonged to a MicroVM or an image that is gone concerns nobody, but that it is gone may. */
  #stillThere({ file, microvmId, buildId }: Damage): boolean {
    const { dataDirectory } = this.#options;
    const owner =
      microvmId !== undefined
        ? join(dataDirectory, 'vms', microvmId)
        : buildId !== undefined && join(dataDirectory, 'images', buildId);
    return owner === false || owner === file || existsSync(owner);
  }
}
