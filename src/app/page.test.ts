import { expect, test } from 'vitest';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { listManagedMicrovmImages } from './operations/list-managed-microvm-images.ts';
import { listMicrovmImages } from './operations/list-microvm-images.ts';
import { listMicrovms } from './operations/list-microvms.ts';
import { caller, imageRequest, type TestApp, testApp } from './testing/test-app.ts';

const day = 24 * 3_600_000;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

async function withImages(t: TestApp): Promise<string> {
  for (const name of ['a', 'b', 'c']) await createMicrovmImage(t.app.context, caller, { ...imageRequest, name });
  await t.settle();
  const { nextToken } = await listMicrovmImages(t.app.context, caller, { maxResults: 1 });
  return nextToken ?? '';
}

const rejected = { code: 'invalid_input', message: expect.stringContaining('Invalid nextToken') };

test('a cursor is URL-safe, and one changed letter anywhere is noticed', async () => {
  await using t = await testApp();
  const token = await withImages(t);
  expect(token).toMatch(/^[\w-]+$/);
  for (let i = 0; i < token.length; i++) {
    const other = alphabet[(alphabet.indexOf(token[i] ?? '') + 1) % 64];
    const nextToken = `${token.slice(0, i)}${other}${token.slice(i + 1)}`;
    await expect(listMicrovmImages(t.app.context, caller, { nextToken })).rejects.toMatchObject(rejected);
  }
  for (const nextToken of ['', '=', `${token}=`, `${token}A`, token.slice(1), ` ${token}`, 'ü', 'x'.repeat(2048)]) {
    await expect(listMicrovmImages(t.app.context, caller, { nextToken })).rejects.toMatchObject(rejected);
  }
  await listMicrovmImages(t.app.context, caller, { nextToken: token });
});

test('a cursor belongs to its account, operation and parameters; the size of the page may change', async () => {
  await using t = await testApp();
  const nextToken = await withImages(t);
  const { context } = t.app;
  await expect(listMicrovms(context, caller, { nextToken })).rejects.toMatchObject(rejected);
  await expect(listManagedMicrovmImages(context, caller, { nextToken })).rejects.toMatchObject(rejected);
  await expect(listMicrovmImages(context, caller, { nextToken, nameFilter: 'b' })).rejects.toMatchObject(rejected);
  const other = { account: '210987654321' };
  await expect(listMicrovmImages(context, other, { nextToken })).rejects.toMatchObject(rejected);
  const { items } = await listMicrovmImages(context, caller, { nextToken, maxResults: 50 });
  expect(items).toHaveLength(2);
});

test('a cursor outlives a restart, and not a day', async () => {
  await using t = await testApp();
  const nextToken = await withImages(t);
  const next = t.restart();
  await next.start();
  expect((await listMicrovmImages(next.context, caller, { nextToken })).items).toHaveLength(2);
  await t.clock.advance(day);
  await expect(listMicrovmImages(next.context, caller, { nextToken })).rejects.toMatchObject({
    message: 'The nextToken has expired. List again from the start.',
  });
});

test('what comes and goes between two pages neither doubles nor hides the others', async () => {
  await using t = await testApp();
  const nextToken = await withImages(t);
  await t.clock.advance(1000);
  await createMicrovmImage(t.app.context, caller, { ...imageRequest, name: 'd' });
  await t.settle();
  const { items } = await listMicrovmImages(t.app.context, caller, { nextToken });
  expect(items.map(({ name }) => name)).toEqual(['b', 'a']);
});
