// Writes src/contract/generated/operations.ts from the schemas that @aws-sdk/client-lambda-microvms exports.
// Run with `node scripts/generate-operations.ts`; a unit test fails when the file and the SDK differ.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as sdk from '@aws-sdk/client-lambda-microvms';
import type { ErrorShape, Member, Operation, Shape, Structure } from '../src/contract/model.ts';

/** Codes of the SDK's schema arrays (@smithy/types, StaticSchemaId*). */
const code = { simple: 0, list: 1, map: 2, structure: 3, union: 4, operation: 9, error: -3 } as const;
const simpleShapes = new Map<number, Shape>([
  [0, 'string'],
  [1, 'number'],
  [2, 'boolean'],
  [4, 'timestamp'],
]);
const listModifier = 64;
const mapModifier = 128;
const labelTrait = 1;

interface Model {
  structures: Record<string, Structure>;
  operations: Record<string, Operation>;
  errors: Record<string, ErrorShape>;
}

const isArray = (value: unknown): value is unknown[] => Array.isArray(value);

/** Members arrive bare or as [schema, traits]; an array that starts with a namespace is itself a schema. */
function splitTraits(entry: unknown): { schema: unknown; traits: unknown } {
  if (isArray(entry) && typeof entry[1] !== 'string') return { schema: entry[0], traits: entry[1] };
  return { schema: entry, traits: 0 };
}

const resolve = (schema: unknown): unknown => (typeof schema === 'function' ? schema() : schema);

function simple(value: number): Shape {
  if (value & mapModifier) return { map: simple(value & ~mapModifier) };
  if (value & listModifier) return { list: simple(value & ~listModifier) };
  const shape = simpleShapes.get(value);
  if (!shape) throw new Error(`unknown simple schema ${value}`);
  return shape;
}

function shapeOf(raw: unknown, model: Model): Shape {
  const schema = resolve(splitTraits(resolve(raw)).schema);
  if (schema === 'unit') return 'unit';
  if (typeof schema === 'number') return simple(schema);
  if (!isArray(schema)) throw new Error(`unknown schema ${String(schema)}`);
  switch (schema[0]) {
    case code.simple:
      return shapeOf(schema[4], model);
    case code.list:
      return { list: shapeOf(schema[4], model) };
    case code.map:
      return { map: shapeOf(schema[5], model) };
    case code.structure:
    case code.union:
      return { ref: addStructure(schema, model) };
    default:
      throw new Error(`unknown schema kind ${String(schema[0])}`);
  }
}

function memberOf(entry: unknown, required: boolean, model: Model): Member {
  const { traits } = splitTraits(entry);
  const place: Partial<Member> = {};
  if (typeof traits === 'number' && traits & labelTrait) Object.assign(place, { in: 'label' });
  if (typeof traits === 'object' && traits !== null) {
    if ('httpQuery' in traits) Object.assign(place, { in: 'query', wireName: traits.httpQuery });
    if ('httpHeader' in traits) Object.assign(place, { in: 'header', wireName: traits.httpHeader });
  }
  return { shape: shapeOf(entry, model), ...(required ? { required: true as const } : {}), ...place };
}

function addStructure(schema: unknown[], model: Model): string {
  const [kind, , name, , memberNames, memberSchemas, required = 0] = schema;
  if (typeof name !== 'string' || !isArray(memberNames) || !isArray(memberSchemas)) throw new Error('not a structure');
  if (!model.structures[name]) {
    const members: Record<string, Member> = {};
    model.structures[name] = { kind: kind === code.union ? 'union' : 'structure', members };
    memberNames.forEach((member, index) => {
      members[String(member)] = memberOf(memberSchemas[index], index < Number(required), model);
    });
  }
  return name;
}

function readOperation(schema: unknown[], model: Model): Operation {
  const [, , , traits, input, output] = schema;
  const http = (traits as { http: [Operation['method'], string, number] }).http;
  const [inputShape, outputShape] = [shapeOf(input, model), shapeOf(output, model)];
  return {
    method: http[0],
    path: http[1],
    status: http[2],
    ...(typeof inputShape === 'object' && 'ref' in inputShape ? { input: inputShape.ref } : {}),
    ...(typeof outputShape === 'object' && 'ref' in outputShape ? { output: outputShape.ref } : {}),
  };
}

function readModel(): Model {
  const model: Model = { structures: {}, operations: {}, errors: {} };
  const schemas = Object.entries(sdk).filter(([name, value]) => name.endsWith('$') && isArray(value));
  for (const [, schema] of schemas.sort(([a], [b]) => (a < b ? -1 : 1)) as [string, unknown[]][]) {
    const name = String(schema[2]);
    if (schema[0] === code.operation) model.operations[name] = readOperation(schema, model);
    if (schema[0] === code.error && isArray(schema[4]) && schema[4].length > 0) {
      const status = (schema[3] as { httpError: number }).httpError;
      model.errors[name] = { status, members: schema[4].map(String) };
    }
  }
  return model;
}

function typeText(shape: Shape): string {
  if (shape === 'timestamp') return 'Date';
  if (shape === 'unit') return 'Record<string, never>';
  if (typeof shape === 'string') return shape;
  if ('list' in shape) return `${typeText(shape.list)}[]`;
  if ('map' in shape) return `Record<string, ${typeText(shape.map)}>`;
  return shape.ref;
}

function structureText(name: string, structure: Structure): string {
  const entries = Object.entries(structure.members);
  if (structure.kind === 'union') {
    const arms = entries.map(([member, { shape }]) => {
      const others = entries.filter(([other]) => other !== member).map(([other]) => `${other}?: undefined`);
      return `  | { ${[`${member}: ${typeText(shape)}`, ...others].join('; ')} }`;
    });
    return `export type ${name} =\n${arms.join('\n')};\n`;
  }
  if (entries.length === 0) return `export type ${name} = Record<string, never>;\n`;
  const lines = entries.map(([member, { shape, required }]) =>
    required ? `  ${member}: ${typeText(shape)};` : `  ${member}?: ${typeText(shape)} | undefined;`,
  );
  return `export interface ${name} {\n${lines.join('\n')}\n}\n`;
}

const table = (name: string, type: string, value: object): string =>
  `export const ${name} = {\n${Object.entries(value)
    .map(([key, entry]) => `  ${key}: ${JSON.stringify(entry)},`)
    .join('\n')}\n} as const satisfies Record<string, ${type}>;\n`;

/** The text of src/contract/generated/operations.ts. */
export function generateOperations(): string {
  const model = readModel();
  const io = Object.entries(model.operations).map(
    ([name, { input, output }]) =>
      `  ${name}: { input: ${input ?? 'Record<string, never>'}; output: ${output ?? 'Record<string, never>'} };`,
  );
  return [
    '// Generated by scripts/generate-operations.ts from @aws-sdk/client-lambda-microvms. Do not edit.',
    "import type { ErrorShape, Operation, Structure } from '../model.ts';\n",
    ...Object.entries(model.structures).map(([name, structure]) => structureText(name, structure)),
    `export interface OperationTypes {\n${io.join('\n')}\n}\n`,
    'export type OperationName = keyof OperationTypes;\n',
    table('structures', 'Structure', model.structures),
    table('operations', 'Operation', model.operations),
    table('errors', 'ErrorShape', model.errors),
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(import.meta.dirname, '../src/contract/generated/operations.ts'), generateOperations());
}
