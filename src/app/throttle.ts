// How many requests per second an account may make: a token bucket for each account and operation. Reference k.1.
import { type OperationName, operations } from '../contract/generated/operations.ts';
import { type CoreOperationName, coreOperations } from '../contract/lambda-core.ts';
import type { Limits, RateName } from '../contract/limits.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { TokenBucket } from '../lib/token-bucket.ts';
import type { Caller } from './settings.ts';

type AnyOperation = OperationName | CoreOperationName;

/** Rates that AWS documents. Operations with one rate share one bucket, as they share one quota there. */
const documented: Partial<Record<AnyOperation, RateName>> = {
  RunMicrovm: 'run-per-second',
  ResumeMicrovm: 'run-per-second',
  SuspendMicrovm: 'suspend-per-second',
  TerminateMicrovm: 'terminate-per-second',
  GetMicrovm: 'get-per-second',
  CreateMicrovmAuthToken: 'auth-token-per-second',
  CreateMicrovmShellAuthToken: 'shell-auth-token-per-second',
};

const table = { ...operations, ...coreOperations };

/** Counts a request of a caller who is known. Throws `throttled`. */
export type Throttle = (caller: Caller, operation: AnyOperation) => void;

/** Its memory is bounded by the accounts there are: only who has signed gets a bucket. */
export function createThrottle(rates: Limits['rates'], clock: Clock): Throttle {
  const buckets = new Map<string, TokenBucket>();
  return ({ account }, operation) => {
    const shared = documented[operation];
    const name = shared ?? (table[operation].method === 'GET' ? 'read-per-second' : 'write-per-second');
    const rate = rates[name];
    if (rate === 'unlimited') return;
    const nowMs = clock.elapsed();
    const key = `${account} ${shared ?? operation}`;
    const bucket = buckets.get(key) ?? new TokenBucket(rate, nowMs);
    buckets.set(key, bucket);
    const waitMs = bucket.take(nowMs);
    if (waitMs > 0) throw throttled(operation, name, rate, Math.ceil(waitMs / 1000));
  };
}

function throttled(operation: AnyOperation, name: RateName, rate: number, retryAfterSeconds: number): Fault {
  const what = `Rate exceeded for ${operation}: ${rate} requests per second (quota ${name}). Try again in ${retryAfterSeconds} s.`;
  return new Fault('throttled', { what, serviceCode: 'lambda', quotaCode: name, retryAfterSeconds });
}
