// What commands about one MicroVM share: its id as an argument, and the server's answer about it.
import { z } from 'zod';
import { Fault } from '../src/lib/errors.ts';
import type { ApiAnswer } from './server-api.ts';

export const microvmOption = z
  .string()
  .regex(/^[\w-]{1,256}$/, 'must be the id of a MicroVM, as list-microvms shows it');

/** The members of a good answer. Throws what the server says of a bad one. */
export function requireAnswer({ status, body }: ApiAnswer, microvmId: string): Record<string, unknown> {
  if (status === 404) throw new Fault('not_found', { what: `The server knows no MicroVM ${microvmId}.` });
  const members = membersOf(body);
  if (status === 200 && members) return members;
  const what = typeof members?.message === 'string' ? members.message : body.slice(0, 500);
  if (status === 400 || status === 409) throw new Fault(status === 400 ? 'invalid_input' : 'conflict', { what });
  throw new Fault('internal', { what: `The server answered ${status}: ${what}` });
}

function membersOf(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
