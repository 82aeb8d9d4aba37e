// All commands, in the order of the help.
import type { Command } from '../command.ts';
import { awsModel } from './aws-model.ts';
import { demo } from './demo.ts';
import { env } from './env.ts';
import { logs } from './logs.ts';
import { serve } from './serve.ts';
import { shell } from './shell.ts';

export const commands: readonly Command[] = [serve, env, demo, shell, logs, awsModel];
