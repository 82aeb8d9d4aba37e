// The output of an operation as JSON: only what the shape knows, timestamps as epoch seconds or, where the API has it so, in ISO 8601.
import type { Shape } from '../../contract/model.ts';
import { structureOf } from './validate.ts';

export function writeOutput(structureName: string | undefined, output: unknown): unknown {
  return structureName === undefined ? {} : write({ ref: structureName }, output);
}

function write(shape: Shape, value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  if (value instanceof Date) return shape === 'isoTimestamp' ? value.toISOString() : value.getTime() / 1000;
  if (typeof shape === 'string' || typeof value !== 'object') return value;
  if ('list' in shape) return Array.isArray(value) ? value.map((each) => write(shape.list, each)) : [];
  const entries = Object.entries(value);
  if ('map' in shape) return Object.fromEntries(entries.map(([key, each]) => [key, write(shape.map, each)]));
  const { members } = structureOf(shape.ref);
  return Object.fromEntries(
    entries.flatMap(([name, each]) => {
      const member = Object.hasOwn(members, name) ? members[name] : undefined;
      return member ? [[name, write(member.shape, each)]] : [];
    }),
  );
}
