// A command is data: its name, texts, options, and what it does with them once they are checked.
import { z } from 'zod';
import type { Surroundings } from './surroundings.ts';

export interface Flag {
  /** As commander has it: `--data <dir>`, `--json`, `--no-profile`, `<id>`. */
  flags: string;
  text: string;
}

export interface Command {
  name: string;
  summary: string;
  /** Shown below the options of `--help`. */
  details: string;
  flags: readonly Flag[];
  /** What stands behind the name without a flag, in this order: `<id>`. The schema finds them beside the flags. */
  positions?: readonly Flag[];
  /** Checks the options and runs. Resolves with the exit code; 2 for options that make no sense. */
  execute(options: unknown, around: Surroundings): Promise<number>;
}

interface Definition<S extends z.ZodType> extends Omit<Command, 'execute'> {
  schema: S;
  run(options: z.output<S>, around: Surroundings): Promise<number>;
}

export function defineCommand<S extends z.ZodType>({ schema, run, ...texts }: Definition<S>): Command {
  return {
    ...texts,
    execute: async (options, around) => {
      const checked = schema.safeParse(options);
      if (checked.success) return run(checked.data, around);
      for (const issue of checked.error.issues) {
        around.err.write(`error: ${nameOf(texts, issue.path)}: ${issue.message}\n`);
      }
      around.err.write(`Run "waterbear ${texts.name} --help" for what is possible.\n`);
      return 2;
    },
  };
}

/** `apiPort` → `--api-port`; `id` → `<id>` where it has a position. */
function nameOf({ positions = [] }: Pick<Command, 'positions'>, path: readonly PropertyKey[]): string {
  const name = String(path[0] ?? '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return positions.find(({ flags }) => flags === `<${name}>`)?.flags ?? `--${name}`;
}

/** A TCP port given as text. */
export const portOption = z
  .string()
  .refine((text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535, 'must be a port, 1 to 65535, or 0 for a free one')
  .transform(Number);

/** A number given as text, with both ends. */
export const numberOption = (least: number, most: number, kind: 'whole' | 'any' = 'whole') => {
  const form = kind === 'whole' ? /^\d{1,9}$/ : /^\d{1,9}(\.\d{1,9})?$/;
  const isIn = (text: string): boolean => form.test(text) && Number(text) >= least && Number(text) <= most;
  const what = kind === 'whole' ? 'a whole number' : 'a number';
  return z.string().refine(isIn, `must be ${what}, ${least} to ${most}`).transform(Number);
};

/** One of a few words. */
export const choiceOption = <const T extends readonly [string, ...string[]]>(words: T) =>
  z.enum(words, { error: `must be one of: ${words.join(', ')}` });
