// All that the application of a fake VM remembers, and so all that a fake snapshot holds.
import { z } from 'zod';

const hookCall = z.object({ name: z.string().max(64), body: z.string().optional(), status: z.number().int() });

export const appStateSchema = z.object({
  /** Answers to `GET /` so far. */
  count: z.number().int().nonnegative(),
  /** Latest lifecycle hooks, oldest first. */
  hooks: z.array(hookCall).max(100),
  /** Calls of each hook, ever. */
  hookCalls: z.record(z.string(), z.number().int()),
  failedSuspends: z.number().int().nonnegative(),
  environment: z.record(z.string(), z.string()),
  started: z.boolean(),
  identity: z.object({ machineId: z.string(), bootId: z.string(), hostname: z.string() }).optional(),
});

export type AppState = z.infer<typeof appStateSchema>;

export function newAppState(): AppState {
  return { count: 0, hooks: [], hookCalls: {}, failedSuspends: 0, environment: {}, started: false };
}
