// Numbers that only a seed decides: the same plan on every machine and with every Node.
import { draws } from '../support/seeded-draws.ts';

export interface Random {
  /** From 0 up to 1, exclusive. */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  pick<T>(list: readonly T[]): T;
  shuffled<T>(list: readonly T[]): T[];
}

export function seededRandom(seed: number): Random {
  const next = draws(seed);
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const shuffled = <T>(list: readonly T[]): T[] => {
    const left = [...list];
    return list.map(() => left.splice(between(0, left.length - 1), 1)[0] as T);
  };
  return { next, between, shuffled, pick: (list) => list[between(0, list.length - 1)] as (typeof list)[number] };
}
