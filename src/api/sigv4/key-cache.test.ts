// Keys are looked up once in a while, and what is not there is looked up each time.
import { expect, test } from 'vitest';
import { ManualClock } from '../../lib/manual-clock.ts';
import { cachedKeys } from './key-cache.ts';
import type { AccessKey } from './verify.ts';

test('one look-up for many requests, another when the time is over', async () => {
  const clock = new ManualClock(0);
  const asked: string[] = [];
  const stored = new Map<string, AccessKey>([['a', { secret: 's', account: '1' }]]);
  const keys = cachedKeys(
    (id) => {
      asked.push(id);
      return stored.get(id);
    },
    clock,
    1000,
  );
  expect(await keys('a')).toEqual({ secret: 's', account: '1' });
  stored.delete('a');
  await clock.advance(999);
  expect(await keys('a')).toEqual({ secret: 's', account: '1' });
  expect(asked).toEqual(['a']);
  await clock.advance(1);
  expect(await keys('a')).toBeUndefined();
  stored.set('a', { secret: 'new', account: '1' });
  expect(await keys('a')).toEqual({ secret: 'new', account: '1' });
  expect(asked).toEqual(['a', 'a', 'a']);
});

test('a look-up that fails is not kept', async () => {
  let fails = true;
  const keys = cachedKeys(
    () => (fails ? Promise.reject(new Error('busy')) : { secret: 's', account: '1' }),
    new ManualClock(0),
  );
  await expect(async () => keys('a')).rejects.toThrow('busy');
  fails = false;
  expect(await keys('a')).toEqual({ secret: 's', account: '1' });
});
