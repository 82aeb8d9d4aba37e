// The policies, applied by themselves: a bounded piece of work every few minutes. What may hold somebody's work is never touched here.
import type { AppContext } from '../context.ts';
import { carryOut } from './collect.ts';
import { survey } from './find-orphans.ts';
import { duePieces, orphanPieces } from './plan.ts';

/** Acts of one run; the next run goes on. */
const mostActs = 50;

/** Resolves with whether some work is left for the next run. */
export async function tidy(app: AppContext): Promise<boolean> {
  const { reapAfterMs } = app.settings.lifecycle;
  const found = await survey(app);
  const nowMs = app.clock.elapsed();
  app.garbage.note(found.things, found.orphans, nowMs);
  const ripe = reapAfterMs === undefined ? [] : app.garbage.orphansSince(reapAfterMs, nowMs);
  const residue = ripe.filter(({ holdsState }) => !holdsState);
  const plan = [...(await duePieces(app, found)), ...orphanPieces(app, residue)];
  let acts = 0;
  for (const planned of plan) {
    if (app.closing.aborted) return false;
    if (acts === mostActs) return true;
    // What cannot be done must not keep the rest from it, run after run.
    if ((await carryOut(app, planned)).done) acts += 1;
  }
  return false;
}
