// Lists of things with their size and what there is to say about each, as wide as the terminal.
import { printableLine } from '../src/lib/printable.ts';
import { formatAge, formatBytes } from './quantities.ts';
import type { Output } from './surroundings.ts';

export interface Entry {
  name: string;
  bytes: number;
  ageMs?: number;
  /** Sentences. */
  text: string;
}

const sizeWidth = 9;
const ageWidth = 5;

/** Size and age in columns, then the name; below it the sentences. Names are never cut: they are there to be copied. */
export function listing(entries: readonly Entry[], output: Output): string {
  const hasAge = entries.some(({ ageMs }) => ageMs !== undefined);
  const indent = sizeWidth + (hasAge ? ageWidth : 0) + 2;
  const width = Math.max(40, Math.min(120, output.columns?.() ?? 80)) - indent;
  const head = (size: string, age: string, name: string): string =>
    `${size.padStart(sizeWidth)}${hasAge ? age.padStart(ageWidth) : ''}  ${name}`;
  const lines = entries.flatMap(({ name, bytes, ageMs, text }) => [
    head(
      bytes === 0 ? '-' : formatBytes(bytes),
      ageMs === undefined ? '' : formatAge(ageMs),
      printableLine(name, 2000),
    ),
    ...wrapped(printableLine(text, 2000), width).map((line) => `${' '.repeat(indent)}${line}`),
  ]);
  return `${[head('SIZE', 'AGE', 'ID'), ...lines].join('\n')}\n`;
}

/** Words that are longer stand alone. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

export const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;
