// What a command gets from the process it runs in. Only waterbear.ts makes one from `process`; tests make their own.

import type { Readable, Writable } from 'node:stream';

/** Where text goes. */
export interface Output {
  write(text: string): void;
  isTty: boolean;
  /** Width of the terminal; asked for each time, since windows change. */
  columns?(): number;
}

export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  homeDirectory: string;
  workingDirectory: string;
  /** The checkout: examples and the `.waterbear` directory made by set-up are there. */
  repositoryDirectory: string;
  out: Output;
  err: Output;
  /** For a command that takes the terminal over. */
  console(): Console;
}

/** The standard streams themselves, and where signals arrive. */
export interface Console {
  input: Readable & { isTTY?: boolean; setRawMode?(on: boolean): unknown };
  /** A terminal has a size, and says `resize`. */
  output: Writable & { isTTY?: boolean; columns?: number; rows?: number };
  errors: Writable;
  signals: Pick<NodeJS.EventEmitter, 'on' | 'off'>;
}

/** Wraps text in terminal colours, or leaves it alone. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  red(text: string): string;
}

/** Colours only on a terminal, and never with NO_COLOR (https://no-color.org). */
export function paintFor(output: Output, env: Surroundings['env']): Paint {
  const on = output.isTty && !env.NO_COLOR && env.TERM !== 'dumb';
  const wrap =
    (start: number, end: number) =>
    (text: string): string =>
      on ? `\x1b[${start}m${text}\x1b[${end}m` : text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), green: wrap(32, 39), red: wrap(31, 39) };
}
