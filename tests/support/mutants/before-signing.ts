// Changes that are signed with the rest: what is behind the signature meets them.
import fc from 'fast-check';
import type { RawRequest } from '../signed-request.ts';

export type Change = { what: string; apply(request: RawRequest): RawRequest };

export const splice = (text: string, at: number, remove: number, insert: string): string => {
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

export const textOf = (body: RawRequest['body']): string => Buffer.from(body ?? '').toString();
export const change = (what: string, apply: Change['apply']): Change => ({ what, apply });
const headerValue = fc.stringMatching(/^[ -~\t]{0,40}$/);
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND'];
const target = /[^!-~]/g;

export const beforeSigning: fc.Arbitrary<Change> = fc.oneof(
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
          fc.constantFrom(
            ...['maxResults', 'nextToken', 'nameFilter', 'imageIdentifier', 'tagKeys', 'State', 'Marker', 'MaxItems'],
          ),
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
