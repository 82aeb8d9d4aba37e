// Network connectors of the account's own, over the wire as any client of lambda-core sees them.
import {
  CreateMicrovmImageCommand,
  ListTagsCommand,
  RunMicrovmCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateMicrovmImageCommand,
} from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';
import { image, invalid, refusal, spec, withImage } from './image-calls.ts';
import { type SignedRequest, signedFetch } from './signed-fetch.ts';

const path = '/2026-04-04/network-connectors';
const arnOf = (id: unknown): string => `arn:aws:lambda:us-east-1:123456789012:network-connector:${id}`;
const vpc = {
  SubnetIds: ['subnet-0a'],
  SecurityGroupIds: ['sg-0a'],
  NetworkProtocol: 'IPv4',
  AssociatedComputeResourceTypes: ['MicroVm'],
};
const Configuration = { VpcEgressConfiguration: vpc };
const request = {
  ...{ Name: 'office', Configuration, OperatorRole: 'arn:aws:iam::123456789012:role/operator' },
  ...{ ClientToken: 'once', Tags: { a: 'b' } },
};

interface Answer {
  status: number;
  type: string | null;
  body: Record<string, unknown>;
}

async function call(rig: ControlPlaneRig, at: string, how: SignedRequest = {}): Promise<Answer> {
  const answer = await signedFetch(rig, `${path}${at}`, how);
  expect(answer.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f-]{36}$/);
  const type = answer.headers.get('x-amzn-errortype');
  return { status: answer.status, type, body: (await answer.json()) as Record<string, unknown> };
}

const create = (rig: ControlPlaneRig, more: object = {}) =>
  call(rig, '', { method: 'POST', body: { ...request, ...more } });
const configured = (change: object) => ({
  Configuration: { VpcEgressConfiguration: { ...vpc, ...change } },
  ClientToken: 'other',
});

/** Resolves with the id of a connector that is ACTIVE. */
async function active(rig: ControlPlaneRig): Promise<string> {
  const { body } = await create(rig);
  await rig.t.settle();
  return String(body.Id);
}

const user = (status: number, type: string, message: string, member = 'message') => ({
  ...{ status, type },
  body: { Type: 'User', [member]: expect.stringContaining(message) },
});
const bad = (message: string) => user(400, 'InvalidParameterValueException', message);
const conflict = (message: string) => user(409, 'ResourceConflictException', message);

test('a connector is created as PENDING, becomes ACTIVE, and is found by id, name and ARN', async () => {
  await using rig = await controlPlaneRig();
  const { status, body } = await create(rig);
  const { Name, OperatorRole } = request;
  const base = {
    Arn: arnOf(body.Id),
    Id: expect.stringMatching(/^nc-[0-9a-f-]{36}$/),
    Name,
    Configuration,
    OperatorRole,
  };
  expect([status, body]).toEqual([202, { ...base, State: 'PENDING' }]);
  await rig.t.settle();
  for (const identifier of [String(body.Id), 'office', encodeURIComponent(arnOf(body.Id)), `${arnOf('office')}:1`]) {
    const got = await call(rig, `/${identifier}`);
    expect([got.status, got.body]).toEqual([
      200,
      {
        ...{ ...base, State: 'ACTIVE', StateReason: 'Initial creation', Version: 1 },
        LastModified: new Date(rig.t.clock.now()).toISOString(),
      },
    ]);
  }
});

test('what cannot be created', async () => {
  await using rig = await controlPlaneRig({ maxConnectors: 1 });
  const none = { ClientToken: 'x', Name: 'x' };
  const many = Array.from({ length: 17 }, (_, i) => `subnet-${i}`);
  for (const [more, error] of [
    [{ ClientToken: undefined }, bad('ClientToken is a required field')],
    [{ OperatorRole: undefined }, bad('NetworkConnectorOperatorRole is required for VPC_EGRESS connector type')],
    [{ OperatorRole: 'me' }, bad("Value at 'operatorRole'")],
    [{ Name: undefined }, bad("Value at 'name' failed to satisfy constraint: Member must not be null")],
    [{ Name: 'a b' }, bad("Value at 'name'")],
    [{ Name: 'x'.repeat(65) }, bad("Value at 'name'")],
    [{ Name: arnOf('x').replace('123456789012', '210987654321') }, bad('not an ARN of this account')],
    [{ Configuration: undefined }, bad("Value at 'configuration'")],
    [{ Configuration: {} }, bad("Value at 'configuration' failed to satisfy constraint: Member must have exactly one")],
    [configured({ SubnetIds: undefined }), bad('SubnetIds cannot be null or empty')],
    [configured({ SubnetIds: [] }), bad("Value at 'configuration.vpcEgressConfiguration.subnetIds'")],
    [configured({ SubnetIds: many }), bad('Member must have length less than or equal to 16')],
    [configured({ SubnetIds: ['net'] }), bad("'configuration.vpcEgressConfiguration.subnetIds.1.member'")],
    [configured({ SecurityGroupIds: Array(6).fill('sg-1') }), bad('securityGroupIds')],
    [configured({ NetworkProtocol: undefined }), bad('NetworkProtocol cannot be null or empty')],
    [configured({ NetworkProtocol: 'IPv6' }), bad('Member must satisfy enum value set: [IPv4, DualStack]')],
    [configured({ AssociatedComputeResourceTypes: undefined }), bad('AssociatedComputeResourceTypes cannot be null')],
    [configured({ AssociatedComputeResourceTypes: ['Function'] }), bad('enum value set: [MicroVm]')],
    [configured({ AssociatedComputeResourceTypes: ['MicroVm', 'MicroVm'] }), bad('less than or equal to 1')],
    [{ Tags: { 'aws:x': '' } }, bad('reserved')],
    [{ ClientToken: 'x'.repeat(65) }, bad("Value at 'clientToken'")],
  ] as const) {
    expect(await create(rig, { ...none, ...more })).toEqual(error);
  }
  const text = await call(rig, '', { method: 'POST', body: 'text' });
  expect([text.status, text.type]).toEqual([400, 'SerializationException']);
  await active(rig);
  expect(await create(rig, { ...none, Name: 'office' })).toEqual(conflict('already exists'));
  expect(await create(rig, none)).toEqual(user(400, 'NetworkConnectorLimitExceededException', '1 network connectors'));
});

test('a client token gives the same connector; with other parameters it is a conflict; when it is gone it is new', async () => {
  await using rig = await controlPlaneRig();
  const id = await active(rig);
  expect((await create(rig)).body).toMatchObject({ Id: id, State: 'ACTIVE' });
  expect(await create(rig, { Name: 'other' })).toEqual(conflict('different parameters'));
  await call(rig, `/${id}`, { method: 'DELETE' });
  await rig.t.settle();
  const { status, body } = await create(rig);
  expect([status, body.State, body.Id === id]).toEqual([202, 'PENDING', false]);
});

test('an update replaces the whole configuration', async () => {
  await using rig = await controlPlaneRig();
  const id = await active(rig);
  await rig.t.clock.advance(1000);
  const next = { VpcEgressConfiguration: { ...vpc, SubnetIds: ['subnet-1', 'subnet-2'], SecurityGroupIds: [] } };
  const put = (body: object) => call(rig, '/office', { method: 'PUT', body });
  const answer = await put({ Configuration: next });
  expect(answer).toMatchObject({ status: 202, body: { State: 'ACTIVE', LastUpdateStatus: 'InProgress' } });
  expect(answer.body).toMatchObject({ Configuration: next, LastModified: new Date(rig.t.clock.now()).toISOString() });
  await rig.t.settle();
  const { body } = await call(rig, `/${id}`);
  expect(body).toMatchObject({ State: 'ACTIVE', LastUpdateStatus: 'Successful', Version: 2, Configuration: next });
  expect(await put({ Configuration: next })).toMatchObject({
    body: { LastUpdateStatus: 'Successful', LastUpdateStatusReason: 'No configuration changes detected' },
  });
  expect(await put(configured({ NetworkProtocol: undefined }))).toEqual(bad('NetworkProtocol cannot be null'));
  await rig.t.store.db.updateTable('networkConnectors').set({ state: 'FAILED' }).execute();
  expect(await put({ OperatorRole: 'arn:aws:iam::123456789012:role/other' })).toEqual(conflict('FAILED'));
});

test('a connector is deleted, also twice; its name is free again', async () => {
  await using rig = await controlPlaneRig();
  const id = await active(rig);
  const remove = (identifier: string) => call(rig, `/${identifier}`, { method: 'DELETE' });
  expect(await remove('office')).toMatchObject({ status: 202, body: { Id: id, State: 'DELETING' } });
  await rig.t.settle();
  for (const identifier of [id, encodeURIComponent(arnOf(id))]) {
    expect(await remove(identifier)).toMatchObject({ status: 202, body: { Id: id, State: 'DELETING' } });
  }
  const gone = (name: string) =>
    user(404, 'ResourceNotFoundException', `Network connector not found for: ${arnOf(name)}`, 'Message');
  expect(await remove('office')).toEqual(gone('office'));
  expect(await call(rig, `/${id}`)).toEqual(gone(id));
  expect(await call(rig, '/nothing', { method: 'PUT', body: {} })).toEqual(gone('nothing'));
  expect(await call(rig, '/')).toEqual(bad("Value at 'identifier'"));
  expect((await call(rig, '')).body).toEqual({ NetworkConnectors: [] });
  expect((await create(rig, { ClientToken: 'second' })).status).toBe(202);
});

test('connectors are listed by pages and by state', async () => {
  await using rig = await controlPlaneRig();
  for (const Name of ['a', 'b', 'c']) {
    await create(rig, { Name, ClientToken: Name });
    await rig.t.settle();
    await rig.t.clock.advance(1000);
  }
  await rig.t.store.db.updateTable('networkConnectors').set({ state: 'INACTIVE' }).where('name', '=', 'b').execute();
  const list = (query: Record<string, string>) => call(rig, '', { query });
  const names = ({ body }: Answer) => (body.NetworkConnectors as { Name: string }[]).map(({ Name }) => Name);
  const first = await list({ MaxItems: '2' });
  expect(names(first)).toEqual(['c', 'b']);
  expect((first.body.NetworkConnectors as object[])[1]).toEqual({
    ...{ Arn: expect.any(String), Id: expect.any(String), Name: 'b', Type: 'VPC_EGRESS', State: 'INACTIVE' },
    LastModified: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
  });
  const Marker = String(first.body.NextMarker);
  const rest = await list({ Marker, MaxItems: '100' });
  expect([names(rest), rest.body.NextMarker]).toEqual([['a'], undefined]);
  expect(names(await list({ State: 'ACTIVE' }))).toEqual(['c', 'a']);
  expect(await list({ Marker, State: 'ACTIVE' })).toEqual(bad('Invalid'));
  expect(await list({ MaxItems: '101' })).toEqual(bad("Value at 'maxItems'"));
  expect(await list({ State: 'GONE' })).toEqual(bad("Value at 'state'"));
});

test('connectors have tags', async () => {
  await using rig = await controlPlaneRig();
  const Resource = arnOf(await active(rig));
  await rig.client.send(new TagResourceCommand({ Resource, Tags: { c: 'd' } }));
  await rig.client.send(new UntagResourceCommand({ Resource, TagKeys: ['a'] }));
  expect((await rig.client.send(new ListTagsCommand({ Resource }))).Tags).toEqual({ c: 'd' });
  await expect(rig.client.send(new ListTagsCommand({ Resource: arnOf('nc-no') }))).rejects.toMatchObject({
    ...refusal('ResourceNotFoundException', 404, 'nc-no'),
    resourceType: 'network-connector',
  });
});

test('a MicroVM takes an ACTIVE connector, and reaches nothing through it yet', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig);
  const internet = 'arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS';
  const run = (...egressNetworkConnectors: string[]) =>
    rig.client.send(new RunMicrovmCommand({ ...image, egressNetworkConnectors }));
  const arn = arnOf((await create(rig)).body.Id);
  await rig.t.settle();
  expect((await run(arn)).egressNetworkConnectors).toEqual([arn]);
  await run(arn, internet);
  await rig.t.settle();
  expect(rig.t.node.launches.map(({ egress }) => egress)).toEqual(['none', undefined]);
  const ingress = { ...image, ingressNetworkConnectors: [arn] };
  await expect(rig.client.send(new RunMicrovmCommand(ingress))).rejects.toMatchObject(invalid('used for ingress'));
  await expect(run(arnOf('nc-no'))).rejects.toMatchObject(refusal('ResourceNotFoundException', 404, 'nc-no'));
  await expect(run(arn.replace('123456789012', '210987654321'))).rejects.toMatchObject(
    refusal('AccessDeniedException', 403, 'not authorized'),
  );
  await rig.t.store.db.updateTable('networkConnectors').set({ state: 'PENDING' }).execute();
  await expect(run(arn)).rejects.toMatchObject(refusal('ConflictException', 409, 'in state PENDING'));
  rig.t.node.confinesEgress = false;
  await rig.t.app.context.connectors.wake();
  await expect(run(arn)).rejects.toMatchObject(invalid('--egress none'));
});

test('MicroVMs and builds of an image with a connector of its own keep to it until it is deleted', async () => {
  await using rig = await controlPlaneRig();
  const id = await active(rig);
  const egressNetworkConnectors = [arnOf(id)];
  await rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, egressNetworkConnectors }));
  await rig.t.settle();
  const { egressNetworkConnectors: given } = await rig.client.send(new RunMicrovmCommand(image));
  await rig.t.settle();
  expect(given).toEqual(egressNetworkConnectors);
  expect([rig.t.node.orders[0]?.egress, rig.t.node.launches[0]?.egress]).toEqual(['none', 'none']);
  // In use, and deleted all the same.
  expect((await call(rig, `/${id}`, { method: 'DELETE' })).status).toBe(202);
  await rig.t.settle();
  await expect(rig.client.send(new RunMicrovmCommand(image))).rejects.toMatchObject(
    refusal('ResourceNotFoundException', 404, 'Network connector not found'),
  );
  await rig.client.send(new UpdateMicrovmImageCommand({ imageIdentifier: demoArn, ...spec }));
  await rig.t.settle();
  expect(rig.t.node.orders[1]).not.toHaveProperty('egress');
});

test('an error inside the server is a ServiceException that says nothing', async () => {
  await using rig = await controlPlaneRig();
  Object.assign(rig.t.app.context, {
    db: {
      selectFrom: () => {
        throw new Error('/secret');
      },
    },
  });
  const { status, type, body } = await call(rig, '/x');
  expect([status, type, body.Type]).toEqual([500, 'ServiceException', 'Service']);
  expect(JSON.stringify(body)).not.toContain('secret');
  expect(body).toHaveProperty('Message');
  Object.assign(rig.t.app.context, { db: rig.t.store.db });
});
