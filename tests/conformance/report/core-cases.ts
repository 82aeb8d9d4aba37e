// How every operation of lambda-core is called well, and how each of its errors is provoked.
import { type CoreOperationName, coreOperations, coreStructures } from '../../../src/contract/lambda-core.ts';
import type { Member } from '../../../src/contract/model.ts';
import type { SignedRequest } from '../../fake/signed-fetch.ts';
import type { Input } from './operation-cases.ts';

const role = 'arn:aws:iam::123456789012:role/operator';
const vpc = { SubnetIds: ['subnet-0a'], NetworkProtocol: 'IPv4', AssociatedComputeResourceTypes: ['MicroVm'] };
const configuration = { Configuration: { VpcEgressConfiguration: vpc }, OperatorRole: role };
const created = (Name: string): Input => ({ Name, ClientToken: Name, ...configuration });

/** In an order in which each finds what it needs. */
export const goodCalls: readonly [CoreOperationName, (name: string) => Input][] = [
  ['CreateNetworkConnector', created],
  ['GetNetworkConnector', (name) => ({ Identifier: name })],
  ['ListNetworkConnectors', () => ({ MaxItems: 10 })],
  ['UpdateNetworkConnector', (name) => ({ Identifier: name, ...configuration })],
  ['DeleteNetworkConnector', (name) => ({ Identifier: name })],
];

/** What is true of the server while an error is provoked. `stuck` is a connector as a crash before its end leaves it. */
export type Circumstance = 'ordinary' | 'full' | 'stuck' | 'broken';

interface Provocation {
  error: string;
  operation: CoreOperationName;
  when: Circumstance;
  input: Input;
}

const invalid = 'InvalidParameterValueException';
const conflict = 'ResourceConflictException';
const missing = 'ResourceNotFoundException';
const tooLong = { Identifier: 'x'.repeat(141) };

/** On a server that has the connector `there`. */
export const provocations: readonly Provocation[] = [
  { operation: 'CreateNetworkConnector', error: invalid, when: 'ordinary', input: created('a b') },
  { operation: 'GetNetworkConnector', error: invalid, when: 'ordinary', input: tooLong },
  { operation: 'ListNetworkConnectors', error: invalid, when: 'ordinary', input: { State: 'GONE' } },
  { operation: 'UpdateNetworkConnector', error: invalid, when: 'ordinary', input: tooLong },
  { operation: 'DeleteNetworkConnector', error: invalid, when: 'ordinary', input: tooLong },
  ...(['GetNetworkConnector', 'UpdateNetworkConnector', 'DeleteNetworkConnector'] as const).map(
    (operation): Provocation => ({ operation, error: missing, when: 'ordinary', input: { Identifier: 'nobody' } }),
  ),
  {
    operation: 'CreateNetworkConnector',
    error: conflict,
    when: 'ordinary',
    input: { ...created('there'), ClientToken: 'other' },
  },
  {
    operation: 'CreateNetworkConnector',
    error: 'NetworkConnectorLimitExceededException',
    when: 'full',
    input: created('more'),
  },
  { operation: 'UpdateNetworkConnector', error: conflict, when: 'stuck', input: { Identifier: 'there' } },
  { operation: 'DeleteNetworkConnector', error: conflict, when: 'stuck', input: { Identifier: 'there' } },
  ...goodCalls.map(
    ([operation, inputOf]): Provocation => ({
      operation,
      error: 'ServiceException',
      when: 'broken',
      input: inputOf('there'),
    }),
  ),
];

/** The errors that the model gives an operation. Reference h.2. */
export function coreErrorsOf(operation: CoreOperationName): readonly string[] {
  const common = [invalid, 'ServiceException', 'TooManyRequestsException'];
  if (operation === 'ListNetworkConnectors') return common;
  if (operation === 'CreateNetworkConnector') return [...common, conflict, 'NetworkConnectorLimitExceededException'];
  return operation === 'GetNetworkConnector' ? [...common, missing] : [...common, missing, conflict];
}

/** The request of an operation, to be signed by hand. */
export function coreRequest(operation: CoreOperationName, input: Input): { path: string } & SignedRequest {
  const { method, path, input: structure = '' } = coreOperations[operation];
  const members: Readonly<Record<string, Member>> = coreStructures[structure]?.members ?? {};
  const at = (place: Member['in']): [string, unknown][] =>
    Object.entries(input).filter(([name]) => members[name]?.in === place);
  const body = at(undefined);
  return {
    method: method as 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: path.replace(/\{(\w+)\}/g, (_, label: string) => encodeURIComponent(String(input[label]))),
    query: Object.fromEntries(at('query').map(([name, value]) => [name, String(value)])),
    ...(body.length > 0 ? { body: Object.fromEntries(body) } : {}),
  };
}
