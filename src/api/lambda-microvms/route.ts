// Which operation of a table a request is for. SDKs percent-encode ARNs in the path, so the raw path is matched and each segment decoded.
import type { Operation } from '../../contract/model.ts';
import { Fault } from '../../lib/errors.ts';

interface Route<Name> {
  name: Name;
  method: string;
  segments: readonly string[];
}

const labelOf = (segment: string): string | undefined => /^\{(.+)\}$/.exec(segment)?.[1];

const matches = (route: Route<string>, method: string, segments: readonly string[]): boolean =>
  route.method === method &&
  route.segments.length === segments.length &&
  route.segments.every((segment, index) => labelOf(segment) !== undefined || segment === segments[index]);

export interface Match<Name> {
  name: Name;
  labels: Record<string, string>;
}

/** Undefined when no operation has this path. Throws `invalid_input` for a segment that cannot be decoded. */
export type Router<Name> = (method: string, rawPath: string) => Match<Name> | undefined;

export function createRouter<Name extends string>(operations: Readonly<Record<Name, Operation>>): Router<Name> {
  const routes = (Object.entries(operations) as [Name, Operation][]).map(([name, { method, path }]) => ({
    name,
    method,
    segments: path.split('/'),
  }));
  return (method, rawPath) => route(routes, method, rawPath.split('/'));
}

function route<Name extends string>(
  routes: readonly Route<Name>[],
  method: string,
  segments: readonly string[],
): Match<Name> | undefined {
  const found = routes.find((each) => matches(each, method, segments));
  if (!found) return undefined;
  const labels = found.segments.flatMap((segment, index): [string, string][] => {
    const label = labelOf(segment);
    return label === undefined ? [] : [[label, decode(segments[index] ?? '')]];
  });
  return { name: found.name, labels: Object.fromEntries(labels) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Fault('invalid_input', { what: 'The path of the request is not correctly percent-encoded.' });
  }
}
