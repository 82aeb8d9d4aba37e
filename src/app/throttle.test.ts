import { expect, test } from 'vitest';
import { profiles } from '../config/profiles.ts';
import { type OperationName, operations } from '../contract/generated/operations.ts';
import { type CoreOperationName, coreOperations } from '../contract/lambda-core.ts';
import { isFault } from '../lib/errors.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { createThrottle, type Throttle } from './throttle.ts';

type Name = OperationName | CoreOperationName;
const one = { account: '111111111111' };
const two = { account: '222222222222' };
const names = Object.keys({ ...operations, ...coreOperations }) as Name[];

/** How many of 300 at once come through. */
function burst(throttle: Throttle, operation: Name, caller = one): number {
  let passed = 0;
  for (let i = 0; i < 300; i++) {
    try {
      throttle(caller, operation);
      passed += 1;
    } catch (error) {
      if (!isFault(error, 'throttled')) throw error;
    }
  }
  return passed;
}

const documented: Partial<Record<Name, number>> = {
  ...{ RunMicrovm: 5, ResumeMicrovm: 5, SuspendMicrovm: 2, TerminateMicrovm: 10, GetMicrovm: 100 },
  ...{ CreateMicrovmAuthToken: 50, CreateMicrovmShellAuthToken: 5 },
};

test.each(names)('the rate of %s in profile aws', (name) => {
  const throttle = createThrottle(profiles.aws.rates, new ManualClock());
  const rate = documented[name] ?? (/^(Get|List)/.test(name) ? 100 : 10);
  expect(burst(throttle, name)).toBe(rate);
  expect(burst(throttle, name, two)).toBe(rate);
});

test('each operation has its own rate, only RunMicrovm and ResumeMicrovm share one', async () => {
  const clock = new ManualClock();
  const throttle = createThrottle(profiles.aws.rates, clock);
  const spent = names.filter((name) => burst(throttle, name) === 0);
  expect(spent).toEqual(['RunMicrovm']);
  await clock.advance(1000);
  expect([burst(throttle, 'ResumeMicrovm'), burst(throttle, 'RunMicrovm'), burst(throttle, 'GetMicrovm')]).toEqual([
    5, 0, 100,
  ]);
});

test('who is refused hears what of, how much, and when to come back', () => {
  const throttle = createThrottle(profiles.aws.rates, new ManualClock());
  for (let i = 0; i < 2; i++) throttle(one, 'SuspendMicrovm');
  expect(() => throttle(one, 'SuspendMicrovm')).toThrow(
    'Rate exceeded for SuspendMicrovm: 2 requests per second (quota suspend-per-second). Try again in 1 s.',
  );
});

test('profile open refuses nobody', () => {
  const throttle = createThrottle(profiles.open.rates, new ManualClock());
  for (const name of names) expect(burst(throttle, name)).toBe(300);
});
