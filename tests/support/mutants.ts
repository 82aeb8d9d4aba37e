// Requests that are almost right: one for every operation, each changed in one or a few places before or after it is signed.
import fc from 'fast-check';
import { operations } from '../../src/contract/generated/operations.ts';
import { coreOperations } from '../../src/contract/lambda-core.ts';
import type { Operation } from '../../src/contract/model.ts';
import { type Credentials, type RawRequest, requestBytes, type SigningOptions, signHeaders } from './signed-request.ts';

/** Bytes to send, and whether they are whole enough that an answer must come. */
export interface Mutant {
  what: string;
  bytes: Buffer;
  mustAnswer: boolean;
  /** The method has answers without body. */
  bodiless: boolean;
}

export interface Names {
  imageArn: string;
  microvmId: string;
  buildId: string;
}

const role = 'arn:aws:iam::000000000000:role/r';
const image = {
  baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
  buildRoleArn: role,
  codeArtifact: { uri: 's3://nothing/here.zip' },
  hooks: { port: 9000, microvmHooks: { run: 'ENABLED' }, microvmImageHooks: { ready: 'ENABLED' } },
  environmentVariables: { A: '1' },
  logging: { cloudWatch: { logGroup: 'g' } },
};

const connector = {
  OperatorRole: role,
  Configuration: {
    VpcEgressConfiguration: {
      SubnetIds: ['subnet-0a'],
      SecurityGroupIds: ['sg-0a'],
      NetworkProtocol: 'IPv4',
      AssociatedComputeResourceTypes: ['MicroVm'],
    },
  },
};
const queries: Record<string, string> = { UntagResource: 'tagKeys=a', ListNetworkConnectors: 'MaxItems=5' };

/** One request per operation. Tokens are fixed, so that what creates something does so once. */
function plainRequests({ imageArn, microvmId, buildId }: Names): RawRequest[] {
  const bodies: Record<string, object> = {
    CreateMicrovmImage: { name: 'fuzz', clientToken: 'create', ...image },
    UpdateMicrovmImage: { clientToken: 'update', ...image },
    UpdateMicrovmImageVersion: { status: 'ACTIVE' },
    RunMicrovm: {
      imageIdentifier: imageArn,
      clientToken: 'run',
      executionRoleArn: role,
      idlePolicy: { maxIdleDurationSeconds: 600, suspendedDurationSeconds: 600, autoResumeEnabled: true },
      maximumDurationInSeconds: 3600,
    },
    CreateMicrovmAuthToken: {
      expirationInMinutes: 5,
      allowedPorts: [{ port: 80 }, { range: { startPort: 1, endPort: 9 } }],
    },
    CreateMicrovmShellAuthToken: { expirationInMinutes: 5 },
    TagResource: { Tags: { a: 'b' } },
    CreateNetworkConnector: { Name: 'office', ClientToken: 'create', Tags: { a: 'b' }, ...connector },
    UpdateNetworkConnector: { ClientToken: 'update', ...connector },
  };
  const labels: Record<string, string> = {
    imageIdentifier: imageArn,
    microvmIdentifier: microvmId,
    imageVersion: '1.0',
    buildId,
    Resource: imageArn,
    Identifier: 'office',
  };
  const all = Object.entries({ ...operations, ...coreOperations });
  return all.map(([name, { method, path }]: [string, Operation]) => ({
    method,
    path: path.replace(/\{(\w+)\}/g, (_, label: string) => encodeURIComponent(labels[label] ?? '')),
    ...(method === 'GET' || queries[name] ? { query: queries[name] ?? 'maxResults=5' } : {}),
    ...(bodies[name] ? { body: JSON.stringify(bodies[name]), headers: ['Content-Type', 'application/json'] } : {}),
  }));
}

type Change = { what: string; apply(request: RawRequest): RawRequest };

const splice = (text: string, at: number, remove: number, insert: string): string => {
  const from = at % (text.length + 1);
  return text.slice(0, from) + insert + text.slice(from + remove);
};

const oddNumber = fc.constantFrom(0, -0, -1, 1.5, Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 53, 65_536, Number.MIN_VALUE);
const oddText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    '__proto__',
    '\ud800',
    'x'.repeat(5000),
    'arn:aws:lambda:us-east-1:1:microvm-image:x',
    '../..',
  ),
);
const oddValue: fc.Arbitrary<unknown> = fc.oneof(oddText, oddNumber, fc.jsonValue({ maxDepth: 3 }), fc.constant(null));

/** Puts a value at one of the members of a JSON body, at any depth. */
function changeMember(body: string, pick: number, value: unknown): string {
  const root: unknown = JSON.parse(body || '{}');
  const places: [Record<string, unknown>, string][] = [];
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const key of Object.keys(node)) {
      places.push([node as Record<string, unknown>, key]);
      walk((node as Record<string, unknown>)[key]);
    }
  };
  walk(root);
  const [node, key] = places[pick % (places.length || 1)] ?? [{}, 'x'];
  node[key] = value;
  // JSON has no infinity: written as the number that overflows.
  return JSON.stringify(root, (_, each) => (each === Number.POSITIVE_INFINITY ? '\0inf' : each))?.replaceAll(
    '"\\u0000inf"',
    '1e400',
  );
}

const textOf = (body: RawRequest['body']): string => Buffer.from(body ?? '').toString();
const change = (what: string, apply: Change['apply']): Change => ({ what, apply });
const headerValue = fc.stringMatching(/^[ -~\t]{0,40}$/);
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND'];
const target = /[^!-~]/g;

const beforeSigning: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.nat(), oddValue)
      .map(([pick, value]) =>
        change('a member', (it) => ({ ...it, body: changeMember(textOf(it.body), pick, value) })),
      ),
  },
  fc
    .tuple(fc.nat(), fc.nat(5), fc.string())
    .map(([at, remove, insert]) =>
      change('body text', (it) => ({ ...it, body: splice(textOf(it.body), at, remove, insert) })),
    ),
  fc.uint8Array({ maxLength: 200 }).map((body) => change('body bytes', (it) => ({ ...it, body }))),
  fc.json().map((body) => change('body JSON', (it) => ({ ...it, body }))),
  fc
    .tuple(
      fc.nat(),
      fc.nat(5),
      fc.oneof(fc.webPath(), fc.constantFrom('%', '%00', '%ff', '//', '..', '%2F', ';', '\\', '{', '*', ':')),
    )
    .map(([at, remove, insert]) =>
      change('path', (it) => ({
        ...it,
        path: `/${splice(it.path, at, remove, insert).replace(target, '')}`.replace(/^\/\//, '/'),
      })),
    ),
  fc
    .oneof(
      fc.webQueryParameters(),
      fc
        .tuple(
          fc.constantFrom('maxResults', 'nextToken', 'nameFilter', 'imageIdentifier', 'tagKeys'),
          fc.webQueryParameters(),
        )
        .map(([name, value]) => `${name}=${value}`),
    )
    .map((query) => change('query', (it) => ({ ...it, query }))),
  fc.constantFrom(...methods).map((method) => change('method', (it) => ({ ...it, method }))),
  fc
    .tuple(fc.stringMatching(/^[A-Za-z-]{1,20}$/), headerValue)
    .map(([name, value]) => change('header', (it) => ({ ...it, headers: [...(it.headers ?? []), `q${name}`, value] }))),
  headerValue.map((type) => change('type', (it) => ({ ...it, headers: ['Content-Type', type] }))),
);

interface Signing extends SigningOptions {
  credentials?: Partial<Credentials>;
}
const signing: fc.Arbitrary<Signing> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({}) },
  fc.constantFrom<Signing>(
    { region: 'eu-west-1' },
    { service: 'ec2' },
    { nowMs: 0 },
    { nowMs: 8e12 },
    { credentials: { accessKeyId: 'AKIANOBODY' } },
    { credentials: { secretAccessKey: 'guess' } },
  ),
);

type AfterSigning = {
  what: string;
  mustAnswer: boolean;
  apply(headers: string[]): string[];
  raw(bytes: Buffer): Buffer;
};
const same = { mustAnswer: true, apply: (headers: string[]) => headers, raw: (bytes: Buffer) => bytes };
const afterSigning: fc.Arbitrary<AfterSigning> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ ...same, what: '' }) },
  fc.tuple(fc.nat(), fc.nat(8), fc.stringMatching(/^[ -~]{0,8}$/)).map(([at, remove, insert]) => ({
    ...same,
    what: 'Authorization',
    apply: (headers: string[]) =>
      headers.with(-1, splice(headers.at(-1) ?? '', at, remove, insert).replaceAll('/s3/', '/x/')),
  })),
  fc.nat().map((pick) => ({
    ...same,
    what: 'a header less',
    apply: (headers: string[]) => headers.toSpliced((pick % (headers.length / 2)) * 2, 2),
    mustAnswer: false,
  })),
  fc.nat().map((pick) => ({
    ...same,
    what: 'a header twice',
    apply: (headers: string[]) => [...headers, ...headers.slice((pick % (headers.length / 2)) * 2).slice(0, 2)],
    mustAnswer: false,
  })),
  fc.nat().map((at) => ({
    ...same,
    what: 'cut',
    mustAnswer: false,
    raw: (bytes: Buffer) => bytes.subarray(0, at % bytes.length),
  })),
  fc.tuple(fc.nat(), fc.nat(255)).map(([at, byte]) => ({
    ...same,
    what: 'a byte',
    mustAnswer: false,
    raw: (bytes: Buffer) => bytes.map((old, i) => (i === at % bytes.length ? byte : old)) as Buffer,
  })),
  fc.constant({ ...same, what: 'pipelined', raw: (bytes: Buffer) => Buffer.concat([bytes, bytes, bytes]) }),
  fc.uint8Array({ minLength: 1, maxLength: 100 }).map((more) => ({
    ...same,
    what: 'bytes behind',
    mustAnswer: false,
    raw: (bytes: Buffer) => Buffer.concat([bytes, more]),
  })),
);

/** Mutants of requests for these resources, signed with these credentials. */
export function mutants(names: Names, credentials: Credentials): fc.Arbitrary<Mutant> {
  const plain = fc.constantFrom(...plainRequests(names));
  const changes = fc.array(beforeSigning, { maxLength: 2 });
  return fc
    .tuple(plain, changes, signing, afterSigning)
    .map(([request, list, { credentials: other, ...options }, after]) => {
      const changed = list.reduce(
        (it, { what, apply }) => (what === 'a member' && !isJson(it.body) ? it : apply(it)),
        request,
      );
      const headers = after.apply(signHeaders(changed, { ...credentials, ...other }, options));
      const what = [request.method, request.path, ...list.map((each) => each.what), after.what].join(' ');
      const bytes = Buffer.from(after.raw(requestBytes(changed, headers)));
      return { what, bytes, mustAnswer: after.mustAnswer, bodiless: changed.method === 'HEAD' };
    });
}

function isJson(body: RawRequest['body']): boolean {
  try {
    const value: unknown = JSON.parse(textOf(body) || '{}');
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
