// Which operation a request is for. SDKs percent-encode ARNs in the path, so the raw path is matched and each segment decoded.
import { type OperationName, operations } from '../../contract/generated/operations.ts';
import type { Operation } from '../../contract/model.ts';
import { Fault } from '../../lib/errors.ts';

interface Route {
  name: OperationName;
  method: string;
  segments: readonly string[];
}

const routes: readonly Route[] = Object.entries(operations).map(([name, operation]: [string, Operation]) => ({
  name: name as OperationName,
  method: operation.method,
  segments: operation.path.split('/'),
}));

const labelOf = (segment: string): string | undefined => /^\{(.+)\}$/.exec(segment)?.[1];

const matches = (route: Route, method: string, segments: readonly string[]): boolean =>
  route.method === method &&
  route.segments.length === segments.length &&
  route.segments.every((segment, index) => labelOf(segment) !== undefined || segment === segments[index]);

export interface Match {
  name: OperationName;
  labels: Record<string, string>;
}

/** Undefined when no operation has this path. Throws `invalid_input` for a segment that cannot be decoded. */
export function route(method: string, rawPath: string): Match | undefined {
  const segments = rawPath.split('/');
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
