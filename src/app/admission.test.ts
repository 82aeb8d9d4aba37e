// What a caller sees when the host has no room: a refusal at once where it is known, a reason in the row where it shows later, and nothing kept for nobody.
import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { getMicrovmImage } from './operations/get-microvm-image.ts';
import { listMicrovms } from './operations/list-microvms.ts';
import { resumeMicrovm } from './operations/resume-microvm.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { updateMicrovmImage } from './operations/update-microvm-image.ts';
import { caller, demoArn, imageRequest, testApp } from './testing/test-app.ts';

const full = () => new Fault('capacity_exhausted', { what: 'This host is full.' });

test('RunMicrovm on a full host is refused and leaves no row', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  t.node.failures.reserve = [full()];
  await expect(runMicrovm(t.app.context, caller, { imageIdentifier: demoArn })).rejects.toThrow('This host is full.');
  expect((await listMicrovms(t.app.context, caller, {})).items?.map((item) => item.microvmId)).toEqual([microvmId]);
});

test('room is kept for one MicroVM however many calls have its token, and for none when the server stops', async () => {
  await using t = await testApp();
  await t.launch();
  const order = { imageIdentifier: demoArn, clientToken: 'same' };
  const answers = await Promise.all([1, 2, 3].map(() => runMicrovm(t.app.context, caller, order)));
  expect(new Set(answers.map(({ microvmId }) => microvmId)).size).toBe(1);
  await t.settle();
  expect(t.node.reserved.size).toBe(2);
  t.app.context.draining = true;
  await expect(runMicrovm(t.app.context, caller, { imageIdentifier: demoArn })).rejects.toThrow('being stopped');
  expect(t.node.reserved.size).toBe(2);
});

test('a launch says whose turn it takes', async () => {
  await using t = await testApp();
  await t.launch();
  expect(t.node.launches[0]).toMatchObject({ account: caller.account });
});

test('a resume that finds no room stays SUSPENDED with the reason', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  t.node.failures.resume = [full()];
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect(await t.get(microvmId)).toMatchObject({ state: 'SUSPENDED', stateReason: 'This host is full.' });
});

test('an image that could not be built is not made', async () => {
  await using t = await testApp();
  t.node.failures.checkBuild = [full()];
  await expect(createMicrovmImage(t.app.context, caller, imageRequest)).rejects.toThrow('This host is full.');
  await expect(getMicrovmImage(t.app.context, caller, { imageIdentifier: demoArn })).rejects.toMatchObject({
    code: 'not_found',
  });
});

test('a version that could not be built is not made', async () => {
  await using t = await testApp();
  await t.launch();
  t.node.failures.checkBuild = [full()];
  const { name: _name, ...update } = { ...imageRequest, imageIdentifier: demoArn };
  await expect(updateMicrovmImage(t.app.context, caller, update)).rejects.toThrow('This host is full.');
  const { state, latestActiveImageVersion } = await getMicrovmImage(t.app.context, caller, {
    imageIdentifier: demoArn,
  });
  expect({ state, latestActiveImageVersion }).toEqual({ state: 'CREATED', latestActiveImageVersion: '1.0' });
});
