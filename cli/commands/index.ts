// All commands, in the order of the help.
import type { Command } from '../command.ts';
import { awsModel } from './aws-model.ts';
import { backup } from './backup.ts';
import { demo } from './demo.ts';
import { env } from './env.ts';
import { gc } from './gc.ts';
import { lease } from './lease.ts';
import { logs } from './logs.ts';
import { orphans } from './orphans.ts';
import { restore } from './restore.ts';
import { revoke } from './revoke.ts';
import { rotateKeys } from './rotate-keys.ts';
import { scrub } from './scrub.ts';
import { serve } from './serve.ts';
import { shell } from './shell.ts';
import { show } from './show.ts';
import { verify } from './verify.ts';

export const commands: readonly Command[] = [
  serve,
  env,
  demo,
  show,
  shell,
  lease,
  logs,
  orphans,
  gc,
  revoke,
  rotateKeys,
  scrub,
  verify,
  backup,
  restore,
  awsModel,
];
