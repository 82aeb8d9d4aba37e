// A botocore service model (`service-2.json`, `paginators-1.json`) out of our operation table: what AWS's Python tools read to know a service.
// https://botocore.amazonaws.com/v1/documentation/api/latest/reference/loaders.html
import { type Constraint, patternText } from '../../src/contract/constraints.ts';
import type { ErrorShape, Member, Operation, Shape, Structure } from '../../src/contract/model.ts';

/** A service as its operation table has it. */
export interface Service {
  /** Name of the CLI command and of the model's directory. */
  name: string;
  /** Directory below it, and `apiVersion`. */
  version: string;
  serviceId: string;
  fullName: string;
  operations: Readonly<Record<string, Operation>>;
  structures: Readonly<Record<string, Structure>>;
  errors: Readonly<Record<string, ErrorShape>>;
  /** By member, or `Structure.member`. */
  constraints: Readonly<Record<string, Constraint>>;
  enums: Readonly<Record<string, readonly string[]>>;
}

/** By this a later run knows the files it may replace. */
export const generatedBy = 'waterbear aws-model';

type Shapes = Record<string, object>;

export function serviceModel(service: Service): object {
  const shapes: Shapes = {};
  for (const [name, structure] of Object.entries(service.structures)) addStructure(service, shapes, name, structure);
  for (const [name, error] of Object.entries(service.errors)) shapes[name] = errorShape(shapes, error);
  return {
    version: '2.0',
    generatedBy,
    metadata: {
      apiVersion: service.version,
      endpointPrefix: 'lambda',
      jsonVersion: '1.1',
      protocol: 'rest-json',
      protocols: ['rest-json'],
      serviceFullName: service.fullName,
      serviceId: service.serviceId,
      signatureVersion: 'v4',
      signingName: 'lambda',
      uid: `${service.name}-${service.version}`,
    },
    operations: Object.fromEntries(
      Object.entries(service.operations).map(([name, operation]) => [name, operationModel(name, operation)]),
    ),
    shapes,
    documentation: `<p>${service.fullName}, as Waterbear has it. Written by <code>${generatedBy}</code>.</p>`,
  };
}

function operationModel(name: string, { method, path, status, input, output }: Operation): object {
  return {
    name,
    http: { method, requestUri: path, responseCode: status },
    ...(input === undefined ? {} : { input: { shape: input } }),
    ...(output === undefined ? {} : { output: { shape: output } }),
  };
}

function addStructure(service: Service, shapes: Shapes, name: string, { kind, members }: Structure): void {
  const entries = Object.entries(members);
  const required = entries.flatMap(([member, definition]) => (definition.required ? [member] : []));
  shapes[name] = {
    type: 'structure',
    ...(required.length > 0 ? { required } : {}),
    members: Object.fromEntries(
      entries.map(([member, definition]) => [member, memberModel(service, shapes, [name, member], definition)]),
    ),
    ...(kind === 'union' ? { union: true } : {}),
  };
}

const locations = { label: 'uri', query: 'querystring', header: 'header' } as const;

function memberModel(
  { constraints, enums }: Service,
  shapes: Shapes,
  [structure, member]: readonly [string, string],
  definition: Member,
): object {
  const specific = `${structure}.${member}`;
  const constraint = constraints[specific] ?? constraints[member] ?? {};
  const allowed = enums[specific] ?? enums[member];
  const shape = addShape(shapes, `${structure}${capital(member)}`, definition.shape, constraint, allowed);
  const { in: place, wireName = member } = definition;
  return {
    shape,
    ...(place ? { location: locations[place], locationName: wireName } : {}),
    ...(/^clientToken$/i.test(member) ? { idempotencyToken: true } : {}),
  };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const plainTypes: Readonly<Record<string, object>> = {
  string: { type: 'string' },
  number: { type: 'integer' },
  boolean: { type: 'boolean' },
  timestamp: { type: 'timestamp' },
  isoTimestamp: { type: 'timestamp', timestampFormat: 'iso8601' },
};

/** Adds what the shape needs under `name` and gives back the name it got; plain ones without limits are shared. */
function addShape(
  shapes: Shapes,
  name: string,
  shape: Shape,
  constraint: Constraint,
  allowed?: readonly string[],
): string {
  if (shape === 'unit') return put(shapes, 'Unit', { type: 'structure', members: {} });
  if (typeof shape === 'string') {
    const model = { ...plainTypes[shape], ...limitsOf(constraint), ...(allowed ? { enum: allowed } : {}) };
    // Plain ones are shared by what they are; those with limits are called after their place.
    return put(shapes, Object.keys(model).length === 1 ? capital(shape) : name, model);
  }
  if ('ref' in shape) return shape.ref;
  const { min, max } = limitsOf(constraint);
  const limits = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  if ('list' in shape) {
    const member = { shape: addShape(shapes, `${name}Member`, shape.list, constraint.each ?? {}, allowed) };
    return put(shapes, name, { type: 'list', member, ...limits });
  }
  const key = { shape: addShape(shapes, `${name}Key`, 'string', constraint.key ?? {}) };
  const value = { shape: addShape(shapes, `${name}Value`, shape.map, constraint.each ?? {}) };
  return put(shapes, name, { type: 'map', key, value, ...limits });
}

function put(shapes: Shapes, name: string, model: object): string {
  shapes[name] = model;
  return name;
}

function limitsOf({ min, max, pattern }: Constraint): { min?: number; max?: number; pattern?: string } {
  return {
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(pattern ? { pattern: patternText(pattern) } : {}),
  };
}

function errorShape(shapes: Shapes, { status, members }: ErrorShape): object {
  const models = members.map((member): [string, object] =>
    member === 'retryAfterSeconds'
      ? [member, { shape: put(shapes, 'Number', { type: 'integer' }), location: 'header', locationName: 'Retry-After' }]
      : [member, { shape: put(shapes, 'String', { type: 'string' }) }],
  );
  return {
    type: 'structure',
    members: Object.fromEntries(models),
    error: { httpStatusCode: status, ...(status < 500 ? { senderFault: true } : {}) },
    exception: true,
    ...(status < 500 ? {} : { fault: true }),
  };
}

/** Which operations come in pages, and how: those that take and give a cursor. */
export function paginators({ operations, structures }: Service): object {
  const members = (name: string | undefined): string[] => Object.keys(structures[name ?? '']?.members ?? {});
  const pages = Object.entries(operations).flatMap(([name, { input, output }]): [string, object][] => {
    const token = members(input).find((each) => each === 'nextToken' || each === 'Marker');
    const limit = members(input).find((each) => each === 'maxResults' || each === 'MaxItems');
    const next = members(output).find((each) => each === 'nextToken' || each === 'NextMarker');
    const list = listOf(structures, output);
    if (token === undefined || next === undefined || list === undefined) return [];
    return [[name, { input_token: token, output_token: next, limit_key: limit, result_key: list }]];
  });
  return { generatedBy, pagination: Object.fromEntries(pages) };
}

/** The one member that is a list. */
function listOf(structures: Service['structures'], name: string | undefined): string | undefined {
  const entries = Object.entries(structures[name ?? '']?.members ?? {});
  return entries.find(([, { shape }]) => typeof shape === 'object' && 'list' in shape)?.[0];
}
