import { expect, test } from 'vitest';
import { caller, testApp } from './testing/test-app.ts';

const stranger = { account: '210987654321' };

test('passes are for the account of the server; damage of a MicroVM and its image is shown with it', async () => {
  await using t = await testApp();
  const { extension } = t.app;
  const { microvmId = '' } = await t.launch();
  expect((await extension.microvm(caller, microvmId)).damage).toBeUndefined();
  const damage = { file: '/data/vms/x/sleep-1/memory.pages', why: 'it is missing', foundAtMs: 0 };
  const buildId = t.node.orders[0]?.buildId ?? '';
  t.scrubber.damage = [
    { ...damage, microvmId },
    { ...damage, buildId },
    { ...damage, microvmId: 'another' },
  ];
  const facts = await extension.microvm(caller, microvmId);
  expect(facts.damage?.map((one) => one.microvmId ?? one.buildId)).toEqual([microvmId, buildId]);
  expect(facts.damage?.[0]?.foundAt).toBe('1970-01-01T00:00:00.000Z');
  expect(extension.startScrub(caller, 0).damage).toHaveLength(3);
  expect(t.scrubber.asked).toEqual([0]);
  expect(() => extension.scrub(stranger)).toThrow('not authorized');
  expect(() => extension.startScrub(stranger)).toThrow('not authorized');
  expect(t.scrubber.asked).toEqual([0]);
});
