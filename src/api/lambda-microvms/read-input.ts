// The input of an operation, out of path, query and body, checked.
import { type Constraint, constraints } from '../../contract/constraints.ts';
import { coreConstraints } from '../../contract/lambda-core.ts';
import type { Member } from '../../contract/model.ts';
import { SerializationError } from '../answer.ts';
import type { ReceivedRequest } from '../authenticate.ts';
import { type Check, finish, readMembers, structureOf } from './validate.ts';

/** Throws SerializationError for what cannot be read, `invalid_input` for what may not be. */
export function readInput(
  structureName: string,
  request: ReceivedRequest,
  labels: Record<string, string>,
  limits: Readonly<Record<string, Constraint>>,
): Record<string, unknown> {
  const { members } = structureOf(structureName);
  const source = {
    ...bodyOf(request.body, members),
    ...queryOf(request.rawQuery, members),
    ...labels,
  };
  const check: Check = { limits: { ...constraints, ...coreConstraints, ...limits }, violations: [] };
  const input = readMembers(check, structureName, members, source, '');
  finish(check);
  return input;
}

function bodyOf(body: Buffer, members: Readonly<Record<string, Member>>): object {
  const inBody = Object.entries(members).filter(([, member]) => member.in === undefined);
  if (inBody.length === 0 || body.length === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new SerializationError('The body of the request is not JSON.');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new SerializationError('The body of the request is not a JSON object.');
  }
  const given = parsed;
  return Object.fromEntries(
    inBody.flatMap(([name]) => (Object.hasOwn(given, name) ? [[name, (given as Record<string, unknown>)[name]]] : [])),
  );
}

function queryOf(rawQuery: string, members: Readonly<Record<string, Member>>): object {
  const query = new URLSearchParams(rawQuery);
  const read: Record<string, unknown> = {};
  for (const [name, { in: place, wireName = name, shape }] of Object.entries(members)) {
    const [value, ...more] = place === 'query' ? query.getAll(wireName) : [];
    if (value === undefined) continue;
    if (typeof shape === 'object' && 'list' in shape) read[name] = [value, ...more];
    else read[name] = shape === 'number' ? numberOf(name, value) : value;
  }
  return read;
}

function numberOf(name: string, text: string): number {
  if (!/^-?[0-9]{1,15}$/.test(text)) throw new SerializationError(`The value at '${name}' must be an integer.`);
  return Number(text);
}
