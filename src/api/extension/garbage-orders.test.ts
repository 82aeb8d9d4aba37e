import { expect, test } from 'vitest';
import { readCollectOrder, readReapOrder } from './garbage-orders.ts';

const bytes = (text: string): Buffer => Buffer.from(text);

test('what is understood', () => {
  expect(readReapOrder(bytes('{"all":true}'))).toEqual({ all: true });
  expect(readReapOrder(bytes('{"ids":["slot:3"]}'))).toEqual({ ids: ['slot:3'] });
  expect(readCollectOrder(bytes('{"dryRun":true}'))).toEqual({ dryRun: true });
});

const many = JSON.stringify({ ids: Array.from({ length: 1001 }, (_, i) => `slot:${i}`) });

test.each(['', '{}', '[]', '{"all":false}', '{"ids":[]}', '{"ids":[""]}', '{"ids":"slot:3"}', many])(
  'reaping: %.40j is refused',
  (body) => {
    expect(() => readReapOrder(bytes(body))).toThrow('Say what is to be reaped');
  },
);

// Nothing is collected because a word was forgotten.
test.each(['', '{}', '{"dryRun":"no"}', '{"dryRun":false,"all":true}'])('collecting: %j is refused', (body) => {
  expect(() => readCollectOrder(bytes(body))).toThrow('Say whether anything is to be done');
});
