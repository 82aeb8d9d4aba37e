// From the arguments to an exit code: 0 good, 1 failed, 2 not understood.
import { CommanderError, Command as Program } from 'commander';
import { argumentName, type Command } from './command.ts';
import { explain } from './explain.ts';
import type { Surroundings } from './surroundings.ts';

const intro = `Waterbear: stateful microVMs that sleep at almost no cost and wake on the next request.
AWS SDKs and CLIs for Lambda MicroVMs work against it unchanged.`;

const outro = `
Begin with:
  waterbear demo                 see it work, in about a minute
  waterbear serve                start the server
  eval "$(waterbear env)"        point AWS SDKs and CLIs of this shell at it`;

/** Never rejects. */
export async function runProgram(
  commands: readonly Command[],
  args: readonly string[],
  version: string,
  around: Surroundings,
): Promise<number> {
  let exitCode = 0;
  const program = new Program('waterbear')
    .description(intro)
    .version(version)
    .addHelpText('after', outro)
    .showHelpAfterError('Run "waterbear --help" for what is possible.')
    .configureOutput({
      writeOut: (text) => around.out.write(text),
      writeErr: (text) => around.err.write(text),
    })
    .exitOverride();
  for (const command of commands) {
    const sub = program.command(command.name).summary(command.summary).description(command.summary);
    // Settings of the parent are copied only when a sub-command is made; these make its errors name its own help.
    sub.showHelpAfterError(`Run "waterbear ${command.name} --help" for what is possible.`).allowExcessArguments(false);
    for (const { flags, text } of command.flags) sub.option(flags, text);
    const named = command.arguments ?? [];
    for (const { flags, text } of named) sub.argument(flags, text);
    sub.addHelpText('after', `\n${command.details.trim()}`);
    // commander gives what stands without a flag first, then the options.
    sub.action(async (...given: unknown[]) => {
      const words = Object.fromEntries(named.map(({ flags }, i) => [argumentName(flags), given[i]]));
      exitCode = await command.execute({ ...Object(given[named.length]), ...words }, around);
    });
  }
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help that was asked for ends with 0; everything else commander throws is a misunderstanding.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    around.err.write(`${explain(error, Boolean(around.env.WATERBEAR_DEBUG))}\n`);
    return 1;
  }
}
