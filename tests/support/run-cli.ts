// The command line in this process: arguments in, what it says and its exit code out.
import { commands } from '../../cli/commands/index.ts';
import { runProgram } from '../../cli/program.ts';

export interface Said {
  exitCode: number;
  out: string;
  err: string;
}

/** As in a terminal of 80 columns, without colours and without a console. */
export async function runCli(args: readonly string[], env: Record<string, string> = {}): Promise<Said> {
  const said = { out: '', err: '' };
  const output = (name: 'out' | 'err') => ({
    isTty: false,
    columns: () => 80,
    write: (text: string): void => {
      said[name] += text;
    },
  });
  const exitCode = await runProgram(commands, args, '1.2.3', {
    ...{ env, homeDirectory: '/nowhere', workingDirectory: '/nowhere', repositoryDirectory: '/nowhere' },
    console: () => {
      throw new Error('no console here');
    },
    ...{ out: output('out'), err: output('err') },
  });
  return { exitCode, ...said };
}
