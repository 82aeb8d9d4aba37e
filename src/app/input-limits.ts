// Bounds of input members that depend on the profile; the API room checks them at the door, before anything else.
import type { Constraint } from '../contract/constraints.ts';
import type { Limits } from '../contract/limits.ts';

export const inputLimits = (limits: Limits): Readonly<Record<string, Constraint>> => ({
  maximumDurationInSeconds: { min: 1, max: limits.maxDurationSeconds },
  maxIdleDurationSeconds: { min: limits.minIdleSeconds, max: limits.maxIdleSeconds },
});
