// What the last look at this server's things saw, and since when each orphan has been one.
import type { HostThing } from '../../contract/inventory.ts';
import type { Orphan } from './orphan.ts';

export class GarbageWatch {
  things: readonly HostThing[] = [];
  orphans: readonly Orphan[] = [];
  readonly #since = new Map<string, number>();

  note(things: readonly HostThing[], orphans: readonly Orphan[], nowMs: number): void {
    this.things = things;
    this.orphans = orphans;
    const ids = new Set(orphans.map(({ id }) => id));
    for (const id of this.#since.keys()) if (!ids.has(id)) this.#since.delete(id);
    for (const id of ids) if (!this.#since.has(id)) this.#since.set(id, nowMs);
  }

  /** Those that were orphans at every look for that long. An old file may have become one only now: its own age says nothing. */
  orphansSince(ageMs: number, nowMs: number): Orphan[] {
    return this.orphans.filter(({ id }) => nowMs - (this.#since.get(id) ?? nowMs) >= ageMs);
  }
}
