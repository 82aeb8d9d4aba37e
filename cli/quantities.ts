// Sizes and times as people read and write them.
import { z } from 'zod';

/** `3.1 GiB`, `14 kB`. */
export function formatBytes(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  if (bytes >= 1 << 20) return `${(bytes / (1 << 20)).toFixed(1)} MiB`;
  return bytes >= 1000 ? `${Math.round(bytes / 1000)} kB` : `${bytes} bytes`;
}

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `3d`, `17h`, `5m`, `40s`: the largest unit, rounded down. */
export function formatAge(ms: number): string {
  const unit = (['d', 'h', 'm'] as const).find((letter) => ms >= unitMs[letter]) ?? 's';
  return `${Math.floor(ms / unitMs[unit])}${unit}`;
}

/** Milliseconds of `90` or `90s`, `10m`, `2h`, `30d`. */
export const durationMs = (text: string): number =>
  Number.parseInt(text, 10) * unitMs[(/[smhd]$/.exec(text)?.[0] ?? 's') as keyof typeof unitMs];

/** A duration, or the word for none. Resolves to milliseconds or that word. */
export const durationOption = <const W extends string>(word: W) =>
  z
    .string()
    .refine(
      (text) => text === word || (/^\d{1,6}[smhd]$/.test(text) && durationMs(text) > 0),
      `must be a time such as 90s, 10m, 12h or 30d, or ${word}`,
    )
    .transform((text): number | W => (text === word ? word : durationMs(text)));
