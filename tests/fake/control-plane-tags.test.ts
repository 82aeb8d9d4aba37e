// Tags with the real client: of images, with the errors of the tag operations; and the token of the shell.
import {
  CreateMicrovmImageCommand,
  CreateMicrovmShellAuthTokenCommand,
  DeleteMicrovmImageCommand,
  GetMicrovmImageCommand,
  ListTagsCommand,
  RunMicrovmCommand,
  SuspendMicrovmCommand,
  TagResourceCommand,
  TerminateMicrovmCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { controlPlaneRig } from './control-plane-rig.ts';

const of = (name: string, httpStatusCode: number, message: string, more = {}) => ({
  name,
  $metadata: { httpStatusCode, requestId: expect.any(String) },
  message: expect.stringContaining(message),
  ...more,
});
const user = { Type: 'User' };

test('tags come and go; removing the last leaves an empty map', async () => {
  await using rig = await controlPlaneRig();
  await rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, tags: { a: '1' } }));
  await rig.t.settle();
  const list = async () => (await rig.client.send(new ListTagsCommand({ Resource: demoArn }))).Tags;
  const answer = await rig.client.send(new TagResourceCommand({ Resource: demoArn, Tags: { a: '2', 'b c': '' } }));
  expect(answer.$metadata).toMatchObject({ httpStatusCode: 204, requestId: expect.any(String) });
  expect(await list()).toEqual({ a: '2', 'b c': '' });
  expect((await rig.client.send(new GetMicrovmImageCommand({ imageIdentifier: demoArn }))).tags).toEqual(await list());
  for (let i = 0; i < 2; i++) {
    await rig.client.send(new UntagResourceCommand({ Resource: demoArn, TagKeys: ['a', 'b c', 'never'] }));
  }
  expect(await list()).toEqual({});
});

test('what the tag operations refuse, in their own words', async () => {
  await using rig = await controlPlaneRig();
  await rig.client.send(new CreateMicrovmImageCommand(imageRequest));
  await rig.t.settle();
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, '']));
  const { k50: _, ...fifty } = many;
  await rig.client.send(new TagResourceCommand({ Resource: demoArn, Tags: fifty }));
  const tag = (Resource: string, Tags: Record<string, string> = { a: 'b' }) =>
    new TagResourceCommand({ Resource, Tags });
  const other = demoArn.replace(':demo', ':other');
  for (const [command, error] of [
    [tag(demoArn, { k50: '' }), of('InvalidParameterValueException', 400, 'at most 50 tags', user)],
    [tag(demoArn, { 'aws:x': '' }), of('InvalidParameterValueException', 400, 'reserved', user)],
    [tag(demoArn, many), of('ValidationException', 400, "Value at 'tags'")],
    [tag(demoArn, { 'a\u0000': '' }), of('ValidationException', 400, "Value at 'tags.key'")],
    [tag('demo'), of('ValidationException', 400, "Value at 'resource'")],
    [tag(other), of('ResourceNotFoundException', 404, other, { resourceType: 'microvm-image', resourceId: other })],
    [tag(demoArn.replace('123456789012', '210987654321')), of('AccessDeniedException', 403, 'not authorized')],
    [new ListTagsCommand({ Resource: other }), of('ResourceNotFoundException', 404, other)],
    [new UntagResourceCommand({ Resource: other, TagKeys: ['a'] }), of('ResourceNotFoundException', 404, other)],
    [
      new UntagResourceCommand({ Resource: demoArn, TagKeys: [] }),
      of('ValidationException', 400, "Value at 'tagKeys'"),
    ],
    [
      new CreateMicrovmImageCommand({ ...imageRequest, tags: { 'aws:x': '' } }),
      of('ValidationException', 400, 'reserved'),
    ],
  ] as [TagResourceCommand, object][]) {
    await expect(rig.client.send(command)).rejects.toMatchObject(error);
  }
  const gate = Promise.withResolvers<void>();
  rig.t.node.gates.deleteImage = gate.promise;
  await rig.client.send(new DeleteMicrovmImageCommand({ imageIdentifier: demoArn }));
  await expect(rig.client.send(tag(demoArn, { k1: 'x' }))).rejects.toMatchObject(
    of('ResourceConflictException', 409, 'being deleted', user),
  );
  gate.resolve();
});

test('a failure of the server is a ServiceException that says nothing, with every tag operation', async () => {
  await using rig = await controlPlaneRig();
  const fail = () => {
    throw new Error('/secret');
  };
  Object.assign(rig.t.app.context, { db: { selectFrom: fail, transaction: fail } });
  for (const command of [
    new ListTagsCommand({ Resource: demoArn }),
    new TagResourceCommand({ Resource: demoArn, Tags: { a: 'b' } }),
    new UntagResourceCommand({ Resource: demoArn, TagKeys: ['a'] }),
  ]) {
    const failure = await rig.client.send(command as ListTagsCommand).catch((error: unknown) => error);
    expect(failure).toMatchObject(of('ServiceException', 500, 'inside the server', { Type: 'Service' }));
    expect(String(failure)).not.toContain('secret');
  }
  Object.assign(rig.t.app.context, { db: rig.t.store.db });
});

test('a token for the shell needs SHELL_INGRESS, and opens no port of the application', async () => {
  await using rig = await controlPlaneRig();
  await rig.t.launch();
  const managed = 'arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:';
  const run = async (...names: string[]) => {
    const ingressNetworkConnectors = names.map((name) => `${managed}${name}`);
    const vm = await rig.client.send(new RunMicrovmCommand({ imageIdentifier: demoArn, ingressNetworkConnectors }));
    await rig.t.settle();
    return vm;
  };
  const token = (microvmIdentifier?: string, expirationInMinutes = 5) =>
    rig.client.send(new CreateMicrovmShellAuthTokenCommand({ microvmIdentifier, expirationInMinutes }));
  const { microvmId, endpoint } = await run('HTTP_INGRESS', 'SHELL_INGRESS');
  expect((await token(microvmId)).authToken).toEqual({ 'X-aws-proxy-auth': expect.any(String) });
  const expiresAtMs = rig.t.clock.now() + 300_000;
  expect(rig.t.grants).toEqual([{ microvmId, host: endpoint, ports: [], shell: true, expiresAtMs }]);
  await rig.client.send(new SuspendMicrovmCommand({ microvmIdentifier: microvmId }));
  await rig.t.settle();
  await token(microvmId);
  const { microvmId: closed } = await run('HTTP_INGRESS');
  await expect(token(closed)).rejects.toMatchObject(
    of('ValidationException', 400, 'Shell access requires SHELL_INGRESS'),
  );
  await expect(token(microvmId, 61)).rejects.toMatchObject(
    of('ValidationException', 400, 'exceeded max allowed of 60.'),
  );
  await expect(token(microvmId, 0)).rejects.toMatchObject(of('ValidationException', 400, "'expirationInMinutes'"));
  await expect(token('microvm-x')).rejects.toMatchObject(of('ResourceNotFoundException', 404, 'microvm-x'));
  await rig.client.send(new TerminateMicrovmCommand({ microvmIdentifier: microvmId }));
  await rig.t.settle();
  await expect(token(microvmId)).rejects.toMatchObject(of('ConflictException', 409, 'TERMINATED'));
});
