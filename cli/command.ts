// A command is data: its name, texts, options, and what it does with them once they are checked.
import { z } from 'zod';
import type { Surroundings } from './surroundings.ts';

export interface Flag {
  /** As commander has it: `--data <dir>`, `--json`, `--no-profile`. */
  flags: string;
  text: string;
}

export interface Command {
  name: string;
  summary: string;
  /** Shown below the options of `--help`. */
  details: string;
  flags: readonly Flag[];
  /** Words without a flag, as commander has them: `<id>`, `[command...]`; they become options of these names. */
  arguments?: readonly Flag[];
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
        const name = String(issue.path[0] ?? '');
        const isArgument = texts.arguments?.some(({ flags }) => argumentName(flags) === name);
        around.err.write(`error: ${isArgument ? name : flagName(name)}: ${issue.message}\n`);
      }
      around.err.write(`Run "waterbear ${texts.name} --help" for what is possible.\n`);
      return 2;
    },
  };
}

/** `[command...]` → `command`. */
export const argumentName = (flags: string): string => flags.replace(/[^A-Za-z]/g, '');

/** `apiPort` → `--api-port`. */
const flagName = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

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
