// Durations as people write them.

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const;

/** `30d`, `36h`, `90m`, `10s`: whole numbers of the largest unit that fits; below a second `0s`. */
export function durationText(ms: number): string {
  for (const [letter, unitMs] of units) if (ms >= unitMs && ms % unitMs === 0) return `${ms / unitMs}${letter}`;
  return `${Math.floor(ms / 1000)}s`;
}
