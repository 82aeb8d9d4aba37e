import { expect, test } from 'vitest';
import { imagePlan } from './image-plan.ts';

const inspect = (config: unknown): string => JSON.stringify({ Docker: { config } });

test('entry point and command combine, and everything absent has its default', () => {
  expect(imagePlan(inspect({ Entrypoint: ['/bin/sh', '-c', 'run'], Cmd: ['a'] })).argv).toEqual([
    '/bin/sh',
    '-c',
    'run',
    'a',
  ]);
  expect(imagePlan(inspect({ Entrypoint: null, Cmd: ['a'], Env: null, ExposedPorts: null }))).toEqual({
    argv: ['a'],
    environment: { PATH: expect.stringContaining('/usr/bin') },
    workingDirectory: '/',
    user: '',
    exposedPorts: [],
    stopSignal: '',
    labels: {},
  });
});

test('the environment keeps what stands after the first equals sign; ports are TCP only and sorted', () => {
  const ports = { '9000/tcp': {}, '80': {}, '53/udp': {}, '99999/tcp': {}, x: {} };
  const plan = imagePlan(inspect({ Cmd: ['a'], Env: ['PATH=/p', 'A=b=c', 'EMPTY='], ExposedPorts: ports }));
  expect(plan.environment).toEqual({ PATH: '/p', A: 'b=c', EMPTY: '' });
  expect(plan.exposedPorts).toEqual([80, 9000]);
});

test.each([
  ['neither CMD nor ENTRYPOINT', inspect({})],
  ['neither CMD nor ENTRYPOINT', inspect({ Entrypoint: [], Cmd: [] })],
  ['neither CMD nor ENTRYPOINT', inspect({ Cmd: [''] })],
  ['cannot be read', 'not json'],
  ['cannot be read', '{}'],
  ['cannot be read', inspect({ Cmd: 'a string' })],
])('build_failed: %s', (why, text) => {
  expect(() => imagePlan(text)).toThrow(
    expect.objectContaining({ code: 'build_failed', message: expect.stringContaining(why) }),
  );
});
