// What every measurement says its numbers with.

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits));

/** Progress; the results alone go to stdout. */
export const say = (text: string): void => void process.stderr.write(`${text}\n`);

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
}
