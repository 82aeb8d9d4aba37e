// Where the server keeps everything, when nobody says otherwise: the same for every command, wherever it is typed.
import { join, resolve } from 'node:path';
import type { Flag } from './command.ts';
import type { Surroundings } from './surroundings.ts';

export const dataFlag: Flag = {
  flags: '--data <dir>',
  text: 'data directory (default: $WATERBEAR_DATA, or ~/.local/share/waterbear)',
};

export function dataDirectory(asked: string | undefined, around: Surroundings): string {
  const { WATERBEAR_DATA: named, XDG_DATA_HOME: shared } = around.env;
  if (asked !== undefined) return resolve(around.workingDirectory, asked);
  if (named) return resolve(around.workingDirectory, named);
  return join(shared || join(around.homeDirectory, '.local', 'share'), 'waterbear');
}
