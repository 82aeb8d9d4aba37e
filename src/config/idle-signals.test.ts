import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { defaultCpuPercent, defaultOutboundBytes } from './idle-signals.ts';
import { limitsOf, profiles } from './profiles.ts';
import { parseSettings } from './settings.ts';

const where = { dataDirectory: '/data', toolkitDirectory: '/toolkit' };
const signalsOf = (profile: 'open' | 'aws', idleSignals?: string[]) =>
  limitsOf(parseSettings({ ...where, profile, ...(idleSignals ? { idleSignals } : {}) }), 2).idleSignals;

test('the profile decides unless signals are named', () => {
  expect(signalsOf('aws')).toEqual({ requests: false, lease: false });
  expect(signalsOf('open')).toEqual(profiles.open.idleSignals);
  expect(signalsOf('open', ['none'])).toEqual({ requests: false, lease: false });
  expect(signalsOf('aws', ['lease', 'cpu', 'outbound'])).toEqual({
    requests: false,
    lease: true,
    cpuPercent: defaultCpuPercent,
    outboundBytes: defaultOutboundBytes,
  });
  expect(signalsOf('open', ['requests', 'cpu=25', 'outbound=100'])).toEqual({
    requests: true,
    lease: false,
    cpuPercent: 25,
    outboundBytes: 100,
  });
});

test.each([
  [],
  ['disk'],
  ['cpu=0'],
  ['cpu=1601'],
  ['cpu='],
  ['cpu=1.5'],
  ['lease=5'],
  ['outbound=0'],
  ['Requests'],
  ['cpu=99999999999'],
])('%j is refused, and what exists is said', (...words) => {
  expect(() => signalsOf('open', words)).toThrow(Fault);
});
