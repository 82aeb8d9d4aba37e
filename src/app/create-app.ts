// Composes the app room: use cases, data plane and life cycle over one context.
import type { Constraint } from '../contract/constraints.ts';
import type { DataPlane } from '../contract/data-plane.ts';
import type { OperationName, OperationTypes } from '../contract/generated/operations.ts';
import { within } from '../lib/deadline.ts';
import { failInterruptedBuilds } from './build-image.ts';
import { BuildQueue } from './build-queue.ts';
import type { AppContext } from './context.ts';
import { createDataPlane } from './data-plane.ts';
import { recordEnd } from './end-microvm.ts';
import { createExtension, type Extension } from './extension.ts';
import { inputLimits } from './input-limits.ts';
import { MicrovmIndex } from './microvm-index.ts';
import { implementations } from './operations/index.ts';
import { recoverMicrovms } from './recovery.ts';
import type { AppDependencies, Caller } from './settings.ts';
import { suspendAll } from './suspend-all.ts';

export type Operations = {
  readonly [N in OperationName]?: (
    caller: Caller,
    input: OperationTypes[N]['input'],
  ) => Promise<OperationTypes[N]['output']>;
};

export interface App {
  readonly context: AppContext;
  readonly operations: Operations;
  readonly dataPlane: DataPlane;
  readonly extension: Extension;
  /** Profile-dependent bounds of input members. */
  readonly inputLimits: Readonly<Record<string, Constraint>>;
  /** Brings rows and host together. Call once, before the first request. */
  start(): Promise<void>;
  /** For SIGTERM. Nothing launches or wakes afterwards. */
  suspendAll(deadlineMs: number): Promise<void>;
  /** Stops builds and waits for what is under way, or for the deadline; the database may be closed afterwards. */
  close(deadlineMs?: number): Promise<void>;
}

export function createApp(dependencies: AppDependencies): App {
  const closing = new AbortController();
  const context: AppContext = {
    ...dependencies,
    index: new MicrovmIndex(),
    builds: new BuildQueue(dependencies.settings.parallelBuilds),
    leaveListeners: [],
    closing: closing.signal,
    draining: false,
  };
  return {
    context,
    operations: bind(context),
    dataPlane: createDataPlane(context),
    extension: createExtension(context),
    inputLimits: inputLimits(context.settings.limits),
    async start() {
      listenForEnds(context);
      await failInterruptedBuilds(context);
      await recoverMicrovms(context);
    },
    suspendAll: (deadlineMs) => suspendAll(context, deadlineMs),
    close(deadlineMs = 10_000) {
      context.draining = true;
      closing.abort();
      return settle(context, deadlineMs);
    },
  };
}

async function settle(context: AppContext, deadlineMs: number): Promise<void> {
  const acts = context.index.all().map(({ worker }) => worker);
  try {
    await within(deadlineMs, 'Coming to rest', Promise.all([context.builds.idle(), ...acts]));
  } catch (error) {
    context.log.error('server.close_late', { error: String(error) });
  }
}

function bind(context: AppContext): Operations {
  const bound = Object.entries(implementations).map(([name, implementation]) => [
    name,
    (caller: Caller, input: never) => implementation(context, caller, input),
  ]);
  return Object.fromEntries(bound) as Operations;
}

function listenForEnds(context: AppContext): void {
  context.node.onEnded((microvmId, reason) => {
    const vm = context.index.get(microvmId);
    if (!vm) return;
    recordEnd(context, vm, reason.what).catch((error: unknown) => {
      context.log.error('microvm.end_not_handled', { microvmId, error: String(error) });
    });
  });
}
