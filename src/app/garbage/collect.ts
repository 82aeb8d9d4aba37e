// `gc`: says what would be freed and why, or frees it and says what was done.
import { describe } from '../../lib/errors.ts';
import type { AppContext } from '../context.ts';
import { collectableCaches } from './caches.ts';
import { survey } from './find-orphans.ts';
import type { Orphan } from './orphan.ts';
import type { Piece, Planned } from './piece.ts';
import { duePieces, orphanPieces } from './plan.ts';
import { budgetMs } from './reap.ts';

export interface Collected extends Piece {
  /** Absent in a dry run. */
  done?: boolean;
  /** Why it was not done. */
  failure?: string;
}

export interface Collection {
  dryRun: boolean;
  pieces: Collected[];
  /** There was more than one request may do: ask again. */
  more: boolean;
  /** Of what is, or would be, freed. */
  bytes: number;
  /** Orphans that may hold somebody's work: they have to be named to be reaped. */
  kept: Orphan[];
}

export async function collectGarbage(app: AppContext, { dryRun }: { dryRun: boolean }): Promise<Collection> {
  const found = await survey(app);
  const residue = found.orphans.filter(({ holdsState }) => !holdsState);
  const plan = [...(await duePieces(app, found)), ...orphanPieces(app, residue), ...collectableCaches(app, found)];
  const pieces: Collected[] = [];
  const endMs = app.clock.elapsed() + budgetMs;
  for (const planned of plan) {
    if (!dryRun && app.clock.elapsed() >= endMs) break;
    pieces.push(dryRun ? pieceOf(planned) : await carryOut(app, planned));
  }
  const freed = pieces.filter(({ done }) => done !== false);
  return {
    dryRun,
    pieces,
    more: pieces.length < plan.length,
    bytes: freed.reduce((sum, { bytes }) => sum + bytes, 0),
    kept: found.orphans.filter(({ holdsState }) => holdsState),
  };
}

export async function carryOut(app: AppContext, planned: Planned): Promise<Collected> {
  const failure = await planned.collect().catch(describe);
  const piece = pieceOf(planned);
  app.log.info('garbage.collected', { ...piece, failure });
  return { ...piece, done: failure === undefined, ...(failure === undefined ? {} : { failure }) };
}

const pieceOf = ({ collect: _, ...piece }: Planned): Piece => piece;
