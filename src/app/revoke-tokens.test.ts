import { expect, test } from 'vitest';
import { metricsText } from './metrics/metrics-text.ts';
import { revokeTokens, rotateTokenKeys } from './revoke-tokens.ts';
import { caller, testApp } from './testing/test-app.ts';

const stranger = { account: '999999999999' };

test('an account revokes tokens of its own MicroVMs, by token, id or MicroVM', async () => {
  await using t = await testApp();
  const { microvmId = '' } = await t.launch();
  const { context } = t.app;
  expect(await revokeTokens(context, caller, { token: `token of ${microvmId}` })).toEqual({
    microvmId,
    tokenId: 'its-id',
  });
  await revokeTokens(context, caller, { microvmId, tokenId: 'x' });
  await revokeTokens(context, caller, { microvmId });
  expect(t.revocations).toEqual([`${microvmId} its-id 7000`, `${microvmId} x`, `all of ${microvmId}`]);
  for (const order of [{ token: `token of ${microvmId}` }, { microvmId, tokenId: 'x' }, { microvmId }]) {
    await expect(revokeTokens(context, stranger, order)).rejects.toMatchObject({ code: 'not_found' });
  }
  await expect(revokeTokens(context, caller, { token: 'made up' })).rejects.toMatchObject({ code: 'invalid_input' });
  expect(t.revocations).toHaveLength(3);
});

test('what concerns all accounts is for the own account of the server', async () => {
  await using t = await testApp();
  const { context, extension } = t.app;
  const refused = { code: 'access_denied' };
  await expect(revokeTokens(context, stranger, { everything: true })).rejects.toMatchObject(refused);
  await expect(rotateTokenKeys(context, stranger)).rejects.toMatchObject(refused);
  await expect(extension.metrics(stranger)).rejects.toMatchObject(refused);
  expect(t.revocations).toEqual([]);
  await revokeTokens(context, caller, { everything: true });
  await rotateTokenKeys(context, caller);
  expect(t.revocations).toEqual(['everything', 'new key']);
  expect(await extension.metrics(caller)).toBe(await metricsText(context));
});
