// How every operation is called well, and how each error of the model is provoked.
import * as sdk from '@aws-sdk/client-lambda-microvms';
import { demoArn, imageRequest } from '../../../src/app/testing/test-app.ts';
import { type OperationName, operations, structures } from '../../../src/contract/generated/operations.ts';
import type { Operation } from '../../../src/contract/model.ts';
import type { ControlPlaneRig } from '../../fake/control-plane-rig.ts';

export type Input = Record<string, unknown>;

/** What the calls before have made. */
export interface Made {
  microvmId: string;
  endedMicrovmId: string;
  buildId: string;
}

const exported: Readonly<Record<string, unknown>> = sdk;

/** The SDK's call of an operation. Rejects with the SDK's errors. */
export function send(rig: Pick<ControlPlaneRig, 'client'>, operation: OperationName, input: Input): Promise<Input> {
  const Command = exported[`${operation}Command`] as new (input: Input) => never;
  return rig.client.send(new Command(input)) as Promise<unknown> as Promise<Input>;
}

const unknownArn = demoArn.replace('demo', 'nothing');
const foreignArn = demoArn.replace('123456789012', '210987654321');
const version = { imageIdentifier: demoArn, imageVersion: '1.0' };
const ingress = ['HTTP_INGRESS', 'SHELL_INGRESS'].map(
  (name) => `arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:${name}`,
);
const ownConnector = (account: string): string => `arn:aws:lambda:us-east-1:${account}:network-connector:nothing`;
const ports = { expirationInMinutes: 5, allowedPorts: [{ port: 80 }] };
const { name: _name, ...configuration } = imageRequest;
export const imageUpdate = { ...configuration, imageIdentifier: demoArn };

/** In an order in which each finds what it needs. */
export const goodCalls: readonly [OperationName, (made: Made) => Input][] = [
  ['CreateMicrovmImage', () => ({ ...imageRequest, clientToken: 'create', tags: { team: 'a' } })],
  ['GetMicrovmImage', () => ({ imageIdentifier: demoArn })],
  ['ListMicrovmImages', () => ({})],
  ['GetMicrovmImageVersion', () => version],
  ['ListMicrovmImageVersions', () => ({ imageIdentifier: demoArn })],
  ['UpdateMicrovmImageVersion', () => ({ ...version, status: 'ACTIVE' })],
  ['ListMicrovmImageBuilds', () => version],
  ['GetMicrovmImageBuild', ({ buildId }) => ({ ...version, buildId })],
  ['ListManagedMicrovmImages', () => ({})],
  ['ListManagedMicrovmImageVersions', () => ({ imageIdentifier: imageRequest.baseImageArn })],
  ['RunMicrovm', () => ({ imageIdentifier: demoArn, ingressNetworkConnectors: ingress, clientToken: 'run' })],
  ['GetMicrovm', ({ microvmId }) => ({ microvmIdentifier: microvmId })],
  ['ListMicrovms', () => ({})],
  ['CreateMicrovmAuthToken', ({ microvmId }) => ({ microvmIdentifier: microvmId, ...ports })],
  ['CreateMicrovmShellAuthToken', ({ microvmId }) => ({ microvmIdentifier: microvmId, expirationInMinutes: 5 })],
  ['SuspendMicrovm', ({ microvmId }) => ({ microvmIdentifier: microvmId })],
  ['ResumeMicrovm', ({ microvmId }) => ({ microvmIdentifier: microvmId })],
  ['TerminateMicrovm', ({ endedMicrovmId }) => ({ microvmIdentifier: endedMicrovmId })],
  ['TagResource', () => ({ Resource: demoArn, Tags: { a: 'b' } })],
  ['ListTags', () => ({ Resource: demoArn })],
  ['UntagResource', () => ({ Resource: demoArn, TagKeys: ['a'] })],
  ['UpdateMicrovmImage', () => ({ ...imageUpdate, clientToken: 'update' })],
];
/** Once the errors were seen: they leave nothing behind. */
export const lastCalls: readonly [OperationName, (made: Made) => Input][] = [
  ['DeleteMicrovmImageVersion', () => version],
  ['DeleteMicrovmImage', () => ({ imageIdentifier: demoArn })],
];

/** Those that are refused while something is under way on an image. */
export const changesImage: ReadonlySet<OperationName> = new Set([
  'UpdateMicrovmImage',
  'UpdateMicrovmImageVersion',
  'DeleteMicrovmImage',
  'DeleteMicrovmImageVersion',
]);

const ordinary = [
  'InternalServerException',
  'AccessDeniedException',
  'ResourceNotFoundException',
  'ThrottlingException',
  'ValidationException',
];
const withConflict = [...ordinary, 'ConflictException'];
const ofTags = [...ordinary, 'TooManyRequestsException', 'ServiceException', 'InvalidParameterValueException'];
const special: Partial<Record<OperationName, readonly string[]>> = {
  CreateMicrovmImage: [...withConflict, 'ServiceQuotaExceededException'],
  UpdateMicrovmImage: [...withConflict, 'ServiceQuotaExceededException'],
  RunMicrovm: [...withConflict, 'InsufficientCapacityException', 'ServiceQuotaExceededException'],
  ListTags: ofTags,
  TagResource: [...ofTags, 'ResourceConflictException'],
  UntagResource: [...ofTags, 'ResourceConflictException'],
  ListMicrovmImages: ordinary.filter((name) => name !== 'ResourceNotFoundException'),
  ListManagedMicrovmImages: ordinary.filter((name) => name !== 'ResourceNotFoundException'),
};

/** The errors that the model gives an operation. */
export function errorsOf(operation: OperationName): readonly string[] {
  return special[operation] ?? (operations[operation].method === 'GET' ? ordinary : withConflict);
}

/** Calls that should fail, made from the good one: out of limits, unknown, of somebody else, ended, and a replay that is none. */
export function badInputs(operation: OperationName, called: Input, made: Made): Input[] {
  const { clientToken, ...good } = called;
  const { input = '' }: Operation = operations[operation];
  const members: object = Reflect.get(structures, input)?.members ?? {};
  const bad: Input[] = [];
  if ('maxResults' in members) bad.push({ ...good, maxResults: 51 });
  if ('name' in members) bad.push({ ...good, name: 'a b' });
  if ('egressNetworkConnectors' in members) {
    const arns = ['123456789012', '210987654321'].map(ownConnector);
    bad.push(...arns.map((arn) => ({ ...good, egressNetworkConnectors: [arn] })));
  }
  if ('Tags' in members) bad.push({ ...good, Tags: { 'aws:x': '' } });
  for (const id of ['imageIdentifier', 'microvmIdentifier', 'Resource']) {
    if (!(id in members)) continue;
    const values = id === 'microvmIdentifier' ? ['microvm-x', made.endedMicrovmId] : [unknownArn, foreignArn, 'no-arn'];
    bad.push(...['x'.repeat(10_001), ...values].map((value) => ({ ...good, [id]: value })));
  }
  if ('clientToken' in members) bad.push({ ...good, clientToken, ...otherParameters(operation) });
  return bad;
}

const otherParameters = (operation: OperationName): Input =>
  operation === 'RunMicrovm' ? { maximumDurationInSeconds: 77 } : { description: 'another' };
