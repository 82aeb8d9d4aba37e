// The `waterbear` command: the only file of the command line that touches `process` for its surroundings.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { commands } from './commands/index.ts';
import { runProgram } from './program.ts';
import type { Output, Surroundings } from './surroundings.ts';

const repositoryDirectory = resolve(import.meta.dirname, '..');

/** Why something could not be printed. */
let unwritten: Error | undefined;

function outputOf(stream: NodeJS.WriteStream): Output {
  // Nothing that is printed is worth ending a server for.
  stream.on('error', () => {});
  const note = (error?: NodeJS.ErrnoException | null): void => {
    // A reader that went away (`waterbear env | head -1`) is no failure of ours, nor is a terminal that was closed.
    if (error && error.code !== 'EPIPE' && error.code !== 'EIO') unwritten ??= error;
  };
  return {
    write: (text) => void stream.write(text, note),
    isTty: stream.isTTY === true,
    columns: () => stream.columns ?? 80,
  };
}

const surroundings: Surroundings = {
  env: process.env,
  homeDirectory: process.env.HOME || homedir(),
  workingDirectory: process.cwd(),
  repositoryDirectory,
  out: outputOf(process.stdout),
  err: outputOf(process.stderr),
  console: () => ({ input: process.stdin, output: process.stdout, errors: process.stderr, signals: process }),
};

const { version } = JSON.parse(readFileSync(join(repositoryDirectory, 'package.json'), 'utf8')) as { version: string };
const exitCode = await runProgram(commands, process.argv.slice(2), version, surroundings);
const leave = (): void => {
  if (!unwritten) process.exit(exitCode);
  process.stderr.write(`Not everything could be printed: ${unwritten.message}\n`, () => process.exit(exitCode || 1));
};
// Idle connections of clients would keep the process alive for a while; what was written goes out first.
process.stdout.write('', () => process.stderr.write('', leave));
