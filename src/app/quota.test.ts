// Counts of an account: exactly up to the limit however many ask at once, each account for itself, and a refusal leaves nothing behind.
import { expect, test } from 'vitest';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { createNetworkConnector } from './operations/create-network-connector.ts';
import { listMicrovmImages } from './operations/list-microvm-images.ts';
import { listMicrovms } from './operations/list-microvms.ts';
import { listNetworkConnectors } from './operations/list-network-connectors.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { terminateMicrovm } from './operations/terminate-microvm.ts';
import { updateMicrovmImage } from './operations/update-microvm-image.ts';
import { caller, demoArn, imageRequest, type TestApp, testApp } from './testing/test-app.ts';

const other = { account: '210987654321' };
const image = { imageIdentifier: demoArn };

/** How many of these calls were refused for a quota; all others must have worked. */
async function refused(calls: Promise<unknown>[]): Promise<number> {
  const results = await Promise.allSettled(calls);
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  for (const error of errors) expect(error).toMatchObject({ code: 'quota_exceeded' });
  return errors.length;
}

const connectors = (t: TestApp) => listNetworkConnectors(t.app.context, caller, {});

const connector = (Name: string) => ({
  ...{ Name, ClientToken: Name, OperatorRole: 'arn:aws:iam::123456789012:role/operator' },
  Configuration: {
    VpcEgressConfiguration: {
      ...{ SubnetIds: ['subnet-1'], SecurityGroupIds: [], NetworkProtocol: 'IPv4' },
      AssociatedComputeResourceTypes: ['MicroVm'],
    },
  },
});

test('images: one of two at once', async () => {
  await using t = await testApp({ maxImages: 2 });
  const create = (name: string, who = caller) =>
    createMicrovmImage(t.app.context, who, { ...imageRequest, name, clientToken: name });
  await create('a');
  expect(await refused([create('b'), create('c')])).toBe(1);
  expect((await listMicrovmImages(t.app.context, caller, {})).items).toHaveLength(2);
  await t.settle();
  await expect(create('d')).rejects.toMatchObject({
    facts: {
      ...{ serviceCode: 'lambda', quotaCode: 'microvm-images', resourceType: 'microvm-image' },
      ...{ resourceId: demoArn.replace('demo', 'd'), what: expect.stringContaining('2 images') },
    },
  });
  expect((await create('d', other)).imageArn).toContain(other.account);
});

test('concurrent builds: those that wait count, of the own account', async () => {
  await using t = await testApp({ maxOpenBuilds: 2 });
  const gate = Promise.withResolvers<void>();
  t.node.gates.build = gate.promise;
  const create = (name: string, who = caller) => createMicrovmImage(t.app.context, who, { ...imageRequest, name });
  expect(await refused(['a', 'b', 'c', 'd'].map((name) => create(name)))).toBe(2);
  await expect(create('e')).rejects.toThrow('2 builds that wait or run, which is the limit');
  await create('a', other);
  gate.resolve();
  await t.settle();
  await create('e');
  await t.settle();
});

test('versions: of one image', async () => {
  await using t = await testApp({ maxVersions: 2 });
  const { name: _name, ...spec } = imageRequest;
  await createMicrovmImage(t.app.context, caller, imageRequest);
  await t.settle();
  const update = () => updateMicrovmImage(t.app.context, caller, { ...image, ...spec, clientToken: 'same' });
  await update();
  await t.settle();
  const again = { ...image, ...spec, clientToken: 'again' };
  await expect(updateMicrovmImage(t.app.context, caller, again)).rejects.toMatchObject({
    facts: { quotaCode: 'microvm-image-versions', resourceId: demoArn, what: expect.stringContaining('2 versions') },
  });
  // A replay makes nothing new.
  expect((await update()).imageVersion).toBe('2.0');
});

test('memory: of all that has not ended, asleep or not', async () => {
  await using t = await testApp({ maxMemoryMib: 2 * 512 });
  await createMicrovmImage(t.app.context, caller, imageRequest);
  await t.settle();
  const run = (clientToken: string) => runMicrovm(t.app.context, caller, { ...image, clientToken });
  expect(await refused(['a', 'b', 'c', 'd'].map(run))).toBe(2);
  await t.settle();
  const { items } = await listMicrovms(t.app.context, caller, {});
  expect(items).toHaveLength(2);
  expect(t.node.vms.size).toBe(2);
  // What was reserved for those that were refused has been given back.
  const ids = items.map(({ microvmId }) => String(microvmId));
  expect(t.node.calls.filter((call) => call.startsWith('terminate'))).toHaveLength(2);
  for (const microvmIdentifier of ids) await suspendMicrovm(t.app.context, caller, { microvmIdentifier });
  await t.settle();
  await expect(run('e')).rejects.toMatchObject({
    facts: {
      ...{ serviceCode: 'lambda', quotaCode: 'L-CD1C0CC4', resourceType: 'microvm' },
      what: expect.stringContaining('1024 of 1024 MiB, and this one needs 512 MiB'),
    },
  });
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: String(ids[0]) });
  await t.settle();
  // The token of the call that was refused is not spent.
  const { microvmId } = await run('e');
  expect(ids).not.toContain(microvmId);
});

test('connectors: one of two at once', async () => {
  await using t = await testApp({ maxConnectors: 1 });
  const create = (name: string, who = caller) => createNetworkConnector(t.app.context, who, connector(name));
  expect(await refused([create('a'), create('b')])).toBe(1);
  expect((await connectors(t)).NetworkConnectors).toHaveLength(1);
  await create('a', other);
});
