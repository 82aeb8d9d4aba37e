// `waterbear shell`: a shell in a MicroVM, or one command.
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { readServerFile } from '../server-file.ts';

const schema = z
  .object({
    data: z.string().min(1, 'must name a directory').optional(),
    c: z.string().min(1, 'must hold a command').optional(),
    id: z.string().regex(/^[\w:/-]{1,256}$/, 'must be the id of a MicroVM'),
    command: z.array(z.string()).default([]),
  })
  .refine(({ c, command }) => c === undefined || command.length === 0, {
    path: ['c'],
    message: 'cannot be used beside a command after --',
  });

export const shell = defineCommand({
  name: 'shell',
  summary: 'open a shell in a MicroVM, or run a command there',
  details: `
waterbear shell ID                      a shell, with the terminal if there is one; else it reads commands from standard input
waterbear shell ID -- ls -l /var        one command, as it stands
waterbear shell ID -c 'ls -l | wc -l'   one command, by /bin/sh

It runs as root where the application runs, and a sleeping MicroVM wakes. The MicroVM must have been launched with SHELL_INGRESS.
The exit code is that of the shell or command; 128 and the signal's number when a signal ended it; 255 when the connection failed or was lost.
A command gets a terminal when standard input and output are one. In a terminal, at the beginning of a line: ~. ends the connection, ~~ is a ~.`,
  flags: [dataFlag, { flags: '-c <command>', text: 'run this with /bin/sh -c' }],
  arguments: [
    { flags: '<id>', text: 'id of the MicroVM' },
    { flags: '[command...]', text: 'after --: program and arguments' },
  ],
  schema,
  run: async ({ data, c, id, command }, around) => {
    const facts = await readServerFile(dataDirectory(data, around));
    const argv = c === undefined ? command : ['/bin/sh', '-c', c];
    // With it come the AWS SDK's clients, which no other command waits for.
    const { runShell } = await import('../shell/run-shell.ts');
    return runShell({ facts, microvmId: id, argv }, around);
  },
});
