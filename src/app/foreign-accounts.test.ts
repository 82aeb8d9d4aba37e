// What belongs to another account: MicroVMs are not found, whatever is asked of them; lists are empty.
import { expect, test } from 'vitest';
import { isFault } from '../lib/errors.ts';
import { testApp } from './testing/test-app.ts';

const stranger = { account: '210987654321' };

test('a MicroVM of another account is not found', async () => {
  await using t = await testApp();
  const { microvmId: microvmIdentifier } = await t.launch();
  const token = { microvmIdentifier, expirationInMinutes: 5 };
  const { operations } = t.app;
  for (const call of [
    () => operations.GetMicrovm(stranger, { microvmIdentifier }),
    () => operations.SuspendMicrovm(stranger, { microvmIdentifier }),
    () => operations.ResumeMicrovm(stranger, { microvmIdentifier }),
    () => operations.TerminateMicrovm(stranger, { microvmIdentifier }),
    () => operations.CreateMicrovmAuthToken(stranger, { ...token, allowedPorts: [{ port: 80 }] }),
    () => operations.CreateMicrovmShellAuthToken(stranger, token),
  ]) {
    const error: unknown = await call().catch((reason: unknown) => reason);
    expect(isFault(error, 'not_found'), String(error)).toBe(true);
  }
  expect((await t.get(microvmIdentifier)).state).toBe('RUNNING');
});

test('lists of another account are empty', async () => {
  await using t = await testApp();
  await t.launch();
  expect(await t.app.operations.ListMicrovms(stranger, {})).toEqual({ items: [] });
  expect(await t.app.operations.ListMicrovmImages(stranger, {})).toEqual({ items: [] });
});
