// Checks a value against its shape and constraints, and copies what the shape knows. Wording follows AWS.
import { type Constraint, enums, patternText } from '../../contract/constraints.ts';
import { structures } from '../../contract/generated/operations.ts';
import { coreEnums, coreStructures } from '../../contract/lambda-core.ts';
import type { Member, Shape, Structure } from '../../contract/model.ts';
import { Fault } from '../../lib/errors.ts';
import { SerializationError } from '../answer.ts';

interface Spot {
  /** As errors name it, e.g. `hooks.port`. */
  path: string;
  constraint: Constraint;
  allowed: readonly string[] | undefined;
}

/** One check of one request; `violations` grows as it goes. */
export interface Check {
  readonly limits: Readonly<Record<string, Constraint>>;
  readonly violations: string[];
}

const table: Readonly<Record<string, Structure>> = { ...structures, ...coreStructures };
const enumsOf: Readonly<Record<string, readonly string[]>> = { ...enums, ...coreEnums };

/** Errors name members in camel case, also where they travel with a capital letter. */
const shown = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1);

/** A hostile request must not be answered with a page for each of its mistakes, nor fill the memory with their texts. */
const shownViolations = 10;

const violate = ({ violations }: Check, { path }: Spot, rule: string): void => {
  const isShown = violations.length < shownViolations;
  violations.push(isShown ? `Value at '${path}' failed to satisfy constraint: ${rule}` : '');
};

/** Throws `invalid_input` with the fact `violations`, their count, when there are any. */
export function finish(check: Check): void {
  const count = check.violations.length;
  if (count === 0) return;
  const shown = check.violations.slice(0, shownViolations).join('; ');
  const what = `${count} validation error${count > 1 ? 's' : ''} detected: ${shown}`;
  throw new Fault('invalid_input', { what, violations: count });
}

export function structureOf(name: string): Structure {
  const structure = table[name];
  if (!structure) throw new Fault('internal', { what: `The operation table has no structure ${name}.` });
  return structure;
}

/** Reads the members that `source` has; `null` counts as absent. A type error ends the check at once: throws SerializationError. */
export function readMembers(
  check: Check,
  structureName: string,
  members: Readonly<Record<string, Member>>,
  source: object,
  prefix: string,
): Record<string, unknown> {
  const read: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(members)) {
    const value: unknown = Object.hasOwn(source, name) ? (source as Record<string, unknown>)[name] : undefined;
    const specific = `${structureName}.${name}`;
    const spot = {
      path: `${prefix}${shown(name)}`,
      constraint: check.limits[specific] ?? check.limits[name] ?? {},
      allowed: enumsOf[specific] ?? enumsOf[name],
    };
    if (value !== undefined && value !== null) read[name] = readValue(check, member.shape, value, spot);
    else if (member.required) violate(check, spot, 'Member must not be null');
  }
  return read;
}

function readValue(check: Check, shape: Shape, value: unknown, spot: Spot): unknown {
  if (typeof shape === 'string') return readScalar(check, shape, value, spot);
  if ('list' in shape) return readList(check, shape.list, value, spot);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(spot, 'an object');
  if ('map' in shape) return readMap(check, shape.map, value, spot);
  const structure = structureOf(shape.ref);
  const read = readMembers(check, shape.ref, structure.members, value, `${spot.path}.`);
  if (structure.kind === 'union' && Object.keys(read).length !== 1) {
    violate(check, spot, `Member must have exactly one of [${Object.keys(structure.members).join(', ')}]`);
  }
  return read;
}

function readScalar(check: Check, shape: Shape, value: unknown, spot: Spot): unknown {
  switch (shape) {
    case 'string':
      if (typeof value !== 'string') throw wrongType(spot, 'a string');
      // Half a surrogate pair cannot be stored, and would come back as another text.
      if (!value.isWellFormed()) throw wrongType(spot, 'Unicode text');
      checkText(check, value, spot);
      return value;
    case 'number':
      // Every number that comes in is an integer of 32 bits in the service model.
      if (typeof value !== 'number' || value !== Math.trunc(value) || Math.abs(value) >= 2 ** 31) {
        throw wrongType(spot, 'an integer');
      }
      checkNumber(check, value, spot);
      return value === 0 ? 0 : value;
    case 'boolean':
      if (typeof value !== 'boolean') throw wrongType(spot, 'a boolean');
      return value;
    case 'unit':
      if (typeof value !== 'object' || Array.isArray(value)) throw wrongType(spot, 'an object');
      return {};
    default:
      throw wrongType(spot, 'absent');
  }
}

function readList(check: Check, element: Shape, value: unknown, spot: Spot): unknown[] {
  if (!Array.isArray(value)) throw wrongType(spot, 'a list');
  if (!checkLength(check, value.length, spot)) return [];
  return value.map((each, index) => {
    const path = `${spot.path}.${index + 1}.member`;
    if (each === null) throw wrongType({ ...spot, path }, 'present');
    return readValue(check, element, each, { path, constraint: spot.constraint.each ?? {}, allowed: spot.allowed });
  });
}

function readMap(check: Check, element: Shape, value: object, spot: Spot): Record<string, unknown> {
  const entries = Object.entries(value).filter(([, each]) => each !== null);
  if (!checkLength(check, entries.length, spot)) return {};
  const { key: keyConstraint = {}, each: constraint = {} } = spot.constraint;
  return Object.fromEntries(
    entries.map(([key, each]) => {
      checkText(check, key, { path: `${spot.path}.key`, constraint: keyConstraint, allowed: undefined });
      const path = `${spot.path}.${key.slice(0, 256)}.member`;
      return [key, readValue(check, element, each, { path, constraint, allowed: undefined })];
    }),
  );
}

function checkText(check: Check, text: string, spot: Spot): void {
  // The pattern is tried only on text of legal length.
  if (!checkLength(check, text.length, spot)) return;
  const { pattern } = spot.constraint;
  if (pattern && !pattern.test(text)) {
    violate(check, spot, `Member must satisfy regular expression pattern: ${patternText(pattern)}`);
  }
  if (spot.allowed && !spot.allowed.includes(text)) {
    violate(check, spot, `Member must satisfy enum value set: [${spot.allowed.join(', ')}]`);
  }
}

function checkLength(check: Check, length: number, spot: Spot): boolean {
  const { min = 0, max = Number.POSITIVE_INFINITY } = spot.constraint;
  if (length < min) violate(check, spot, `Member must have length greater than or equal to ${min}`);
  if (length > max) violate(check, spot, `Member must have length less than or equal to ${max}`);
  return length >= min && length <= max;
}

function checkNumber(check: Check, value: number, spot: Spot): void {
  const { min, max } = spot.constraint;
  if (min !== undefined && value < min) violate(check, spot, `Member must be greater than or equal to ${min}`);
  if (max !== undefined && value > max) violate(check, spot, `Member must be less than or equal to ${max}`);
}

const wrongType = ({ path }: Spot, kind: string): SerializationError =>
  new SerializationError(`The value at '${path}' must be ${kind}.`);
