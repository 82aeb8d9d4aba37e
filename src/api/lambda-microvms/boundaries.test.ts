// Every input member of every operation, also of lambda-core, at its boundaries: the limits of the service models as testing/model-limits.ts has them, apart from constraints.ts.
import { expect, test } from 'vitest';
import { operations } from '../../contract/generated/operations.ts';
import { coreOperations } from '../../contract/lambda-core.ts';
import type { Member, Operation, Shape } from '../../contract/model.ts';
import { isFault } from '../../lib/errors.ts';
import { SerializationError } from '../answer.ts';
import { readInput } from './read-input.ts';
import { free, type Row, rows, structural } from './testing/model-limits.ts';
import { structureOf } from './validate.ts';

/** Bounds of the profile `aws`. */
const limits = {
  maximumDurationInSeconds: { min: 1, max: 28_800 },
  maxIdleDurationSeconds: { min: 60, max: 28_800 },
};

const rowOf = (structure: string, member: string): Row | undefined => rows[`${structure}.${member}`] ?? rows[member];
const textOf = (row: Row, length: number): string => row.allowed?.[0] ?? row.text?.(length) ?? 'x'.repeat(length);

function sample(shape: Shape, row: Row = {}): unknown {
  if (shape === 'string') return textOf(row, Math.max(row.min ?? 1, row.text ? 40 : 1));
  if (shape === 'number') return row.min ?? 1;
  if (shape === 'boolean') return true;
  if (typeof shape === 'string') return {};
  if ('list' in shape) return [sample(shape.list, row.each)];
  if ('map' in shape) return { k: sample(shape.map, row.each) };
  return minimal(shape.ref);
}

function minimal(name: string): Record<string, unknown> {
  const { kind, members } = structureOf(name);
  const entries = Object.entries(members).filter(([, { required }], i) => (kind === 'union' ? i === 0 : required));
  return Object.fromEntries(entries.map(([member, { shape }]) => [member, sample(shape, rowOf(name, member))]));
}

interface Spot {
  path: string;
  member: string;
  row: Row | undefined;
  definition: Member;
  /** The whole input with this value there. */
  wrap(value: unknown): Record<string, unknown>;
}

/** Errors name members in camel case, also those that travel with a capital letter. */
const shown = (member: string): string => member.charAt(0).toLowerCase() + member.slice(1);

type Wrap = (value: Record<string, unknown>) => Record<string, unknown>;

function spotsOf(structure: string, prefix: string, wrap: Wrap): Spot[] {
  const { kind, members } = structureOf(structure);
  const base = kind === 'union' ? {} : minimal(structure);
  return Object.entries(members).flatMap(([member, definition]): Spot[] => {
    const path = `${prefix}${shown(member)}`;
    const put = (value: unknown) => wrap({ ...base, [member]: value });
    const own = { path, member, row: rowOf(structure, member), definition, wrap: put };
    const { shape } = definition;
    if (typeof shape !== 'object' || 'map' in shape) return [own];
    if ('ref' in shape) return [own, ...spotsOf(shape.ref, `${path}.`, put)];
    if (typeof shape.list !== 'object' || !('ref' in shape.list)) return [own];
    return [own, ...spotsOf(shape.list.ref, `${path}.1.member.`, (value) => put([value]))];
  });
}

/** What the door says to an input: '' when it may come in. */
function answer(inputName: string, input: Record<string, unknown>): string {
  const { members } = structureOf(inputName);
  const labels: Record<string, string> = {};
  const query = new URLSearchParams();
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(input)) {
    const { in: place, wireName = name } = members[name] ?? { shape: 'string' };
    if (place === 'label') labels[name] = String(value);
    else if (place === 'query') for (const each of [value].flat()) query.append(wireName, String(each));
    else body[name] = value;
  }
  const request = { method: 'POST', rawPath: '/', rawQuery: `${query}`, rawHeaders: [] };
  try {
    readInput(inputName, { ...request, body: Buffer.from(JSON.stringify(body)) }, labels, limits);
    return '';
  } catch (error) {
    if (error instanceof SerializationError) return `unreadable: ${error.message}`;
    if (isFault(error, 'invalid_input')) return error.message;
    throw error;
  }
}

const one = (path: string, rule: string): string =>
  `1 validation error detected: Value at '${path}' failed to satisfy constraint: ${rule}`;

/** Values and what is said to each. */
function bounds(
  path: string,
  { min = 0, max = Number.POSITIVE_INFINITY }: Row,
  of: (size: number) => unknown,
  what: string,
) {
  const cases: [unknown, string][] = [[of(min), '']];
  if (min > 0) cases.push([of(min - 1), one(path, `Member must ${what}greater than or equal to ${min}`)]);
  if (max !== Number.POSITIVE_INFINITY) {
    cases.push([of(max), ''], [of(max + 1), one(path, `Member must ${what}less than or equal to ${max}`)]);
  }
  return cases;
}

function textCases(path: string, row: Row): [unknown, string][] {
  if (row.allowed) {
    const rule = `Member must satisfy enum value set: [${row.allowed.join(', ')}]`;
    const wrong = ['', 'NOBODY', row.allowed[0]?.toLowerCase()];
    return [
      ...row.allowed.map((text): [unknown, string] => [text, '']),
      ...wrong.map((text): [unknown, string] => [text, one(path, rule)]),
    ];
  }
  // Text with a prefix that is longer than the least length cannot be both legal and shortest.
  const shortest = row.text ? Math.max(row.min ?? 0, row.text(0).length) : (row.min ?? 0);
  const cases = bounds(path, { ...row, min: shortest }, (size) => textOf(row, size).slice(0, size), 'have length ');
  const legal = row.text ? cases.filter(([, said]) => !said.includes('greater')) : cases;
  if (row.text)
    legal.push([
      'x'.repeat((row.min ?? 1) - 1),
      one(path, `Member must have length greater than or equal to ${row.min}`),
    ]);
  return [
    ...legal,
    ...(row.bad ?? []).map((text): [unknown, string] => [
      text,
      one(path, 'Member must satisfy regular expression pattern: '),
    ]),
  ];
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`);

/** Presence and type. */
function shapeCases({ path, definition: { shape, required, in: place } }: Spot): [unknown, string][] {
  if (place !== undefined) return [];
  const absent = required ? [null, undefined] : [];
  const wrong: unknown[] = [1.5, 'text', [], { a: 1 }, true].filter((value) => !fits(shape, value));
  return [
    ...absent.map((value): [unknown, string] => [value, one(path, 'Member must not be null')]),
    ...wrong.map((value): [unknown, string] => [value, `unreadable: The value at '${path}' must be `]),
  ];
}

function boundCases({ path, row = {}, definition: { shape, in: place } }: Spot): [unknown, string][] {
  if (shape === 'string') return textCases(path, row);
  if (shape === 'number') return bounds(path, { ...row, min: row.min ?? 0 }, (value) => value, 'be ');
  if (typeof shape !== 'object' || 'ref' in shape || row.max === Number.POSITIVE_INFINITY) return [];
  if ('map' in shape) return mapCases(path, row);
  const cases = listCases(path, shape.list, row);
  // In a query, a list of nothing is no list, and nothing is `null`.
  if (place === 'query') {
    const some = cases.filter(([value]) => Array.isArray(value) && value.length > 0);
    return [...some, [[], one(path, 'Member must not be null')]];
  }
  return [...cases, [[null], `unreadable: The value at '${path}.1.member' must be present`]];
}

function fits(shape: Shape, value: unknown): boolean {
  if (shape === 'string') return typeof value === 'string';
  if (shape === 'number') return false;
  if (shape === 'boolean') return typeof value === 'boolean';
  if (typeof shape === 'object' && 'list' in shape) return Array.isArray(value);
  return typeof value === 'object' && !Array.isArray(value);
}

function listCases(path: string, element: Shape, row: Row): [unknown, string][] {
  const cases = bounds(path, row, (size) => names(size).map(() => sample(element, row.each)), 'have length ');
  if (element !== 'string' || !row.each) return cases;
  return [
    ...cases,
    ...textCases(`${path}.1.member`, row.each).map(([text, said]): [unknown, string] => [[text], said]),
  ];
}

function mapCases(path: string, { key = {}, each = {}, ...row }: Row): [unknown, string][] {
  const sized = bounds(path, row, (size) => Object.fromEntries(names(size).map((name) => [name, 'v'])), 'have length ');
  const keys = textCases(`${path}.key`, key).map(([text, said]): [unknown, string] => [{ [String(text)]: 'v' }, said]);
  const values = textCases(`${path}.k.member`, each).map(([text, said]): [unknown, string] => [{ k: text }, said]);
  return [...sized, ...keys, ...values, [{ k: null }, ''], [{ k: 1 }, `unreadable: The value at '${path}.k.member'`]];
}

const withInput = Object.entries({ ...operations, ...coreOperations }).flatMap(
  ([name, { input }]: [string, Operation]) =>
    input === undefined ? [] : [{ name, input, spots: spotsOf(input, '', (value) => value) }],
);

test('every input member is in the list above, and nothing else is', () => {
  const members = new Set(withInput.flatMap(({ spots }) => spots.map(({ member }) => member)));
  const listed = new Set([...Object.keys(rows).map((name) => name.replace(/^.*\./, '')), ...free, ...structural]);
  expect([...members].filter((name) => !listed.has(name))).toEqual([]);
  expect([...listed].filter((name) => !members.has(name))).toEqual([]);
});

test.each(withInput)('$name', ({ input, spots }) => {
  expect(answer(input, minimal(input))).toBe('');
  for (const spot of spots) {
    const cases = free.has(spot.member) ? shapeCases(spot) : [...shapeCases(spot), ...boundCases(spot)];
    for (const [value, said] of cases) {
      const got = answer(input, spot.wrap(value));
      const what = `${spot.path} = ${JSON.stringify(value)?.slice(0, 80)}: ${got}`;
      if (said === '') expect(got, what).toBe('');
      else expect(got, what).toContain(said);
    }
  }
});

test.each([
  ['codeArtifact', 'CreateMicrovmImageRequest', [{}, { uri: null }, { other: 'x' }], 'uri'],
  ['logging', 'RunMicrovmRequest', [{}, { disabled: {}, cloudWatch: {} }], 'disabled, cloudWatch'],
  ['allowedPorts.1.member', 'CreateMicrovmAuthTokenRequest', [{}, { port: 1, allPorts: {} }], 'port, range, allPorts'],
])('%s has exactly one of its members', (path, input, values, arms) => {
  const member = path.split('.', 1)[0] ?? '';
  for (const value of values) {
    const put = path.includes('.') ? [value] : value;
    const got = answer(input, { ...minimal(input), [member]: put });
    expect(got).toBe(one(path, `Member must have exactly one of [${arms}]`));
  }
});
