// All commands, in the order of the help.
import type { Command } from '../command.ts';
import { awsModel } from './aws-model.ts';
import { demo } from './demo.ts';
import { env } from './env.ts';
import { logs } from './logs.ts';
import { revoke } from './revoke.ts';
import { rotateKeys } from './rotate-keys.ts';
import { serve } from './serve.ts';

export const commands: readonly Command[] = [serve, env, demo, logs, revoke, rotateKeys, awsModel];
