// Composes the app room: use cases, data plane and life cycle over one context.
import type { Constraint } from '../contract/constraints.ts';
import type { EndpointSource } from '../contract/data-plane.ts';
import type { OperationName, OperationTypes } from '../contract/generated/operations.ts';
import type { CoreOperationName, CoreOperationTypes } from '../contract/lambda-core.ts';
import { within } from '../lib/deadline.ts';
import { Background } from './background.ts';
import { resumeInterruptedBuilds } from './build-image.ts';
import { BuildQueue } from './build-queue.ts';
import { finishConnectors } from './connector-work.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import { finishDeletions } from './deletions.ts';
import { hearEnd } from './end-microvm.ts';
import { createEndpointSource } from './endpoint-source.ts';
import { createExtension, type Extension } from './extension.ts';
import { GarbageWatch } from './garbage/garbage-watch.ts';
import { tidy } from './garbage/tidy.ts';
import { inputLimits } from './input-limits.ts';
import { StageMetrics } from './metrics/stage-times.ts';
import { MicrovmIndex } from './microvm-index.ts';
import { coreImplementations, implementations } from './operations/index.ts';
import { readMicrovms } from './recovery.ts';
import type { AppDependencies, Caller } from './settings.ts';
import { drain, restAll, suspendAll } from './suspend-all.ts';
import { createThrottle, type Throttle } from './throttle.ts';

type Bound<T extends { input: unknown; output: unknown }> = (caller: Caller, input: T['input']) => Promise<T['output']>;

export type Operations = { readonly [N in OperationName]: Bound<OperationTypes[N]> };

export type CoreOperations = { readonly [N in CoreOperationName]: Bound<CoreOperationTypes[N]> };

export interface App {
  readonly context: AppContext;
  readonly operations: Operations;
  /** Of the API `lambda-core`: network connectors. */
  readonly coreOperations: CoreOperations;
  /** For the gateway. */
  readonly endpoints: EndpointSource;
  readonly extension: Extension;
  /** Profile-dependent bounds of input members. */
  readonly inputLimits: Readonly<Record<string, Constraint>>;
  /** Before anything else is done for a caller who is known. */
  readonly throttle: Throttle;
  /**
   * Reads the rows. Call once, before the first request. Rows and host are brought together afterwards, MicroVM by MicroVM, and what was being built is
   * built again: requests may come meanwhile.
   */
  start(): Promise<void>;
  /** For SIGTERM. Nothing launches or wakes afterwards. Resolves when no request is under way, or after `deadlineMs`. */
  drain(deadlineMs: number): Promise<void>;
  /** After `drain`. Resolves when everything sleeps, or at the deadline. */
  suspendAll(deadlineMs: number): Promise<void>;
  /** After `drain`. Resolves when no MicroVM is in the middle of a change, or at the deadline. */
  rest(deadlineMs: number): Promise<void>;
  /** Stops builds and waits for what is under way, or for the deadline; the database may be closed afterwards. */
  close(deadlineMs?: number): Promise<void>;
}

export function createApp(dependencies: AppDependencies): App {
  const closing = new AbortController();
  const context: AppContext = {
    ...dependencies,
    index: new MicrovmIndex(),
    stageMetrics: new StageMetrics(),
    builds: new BuildQueue(dependencies.settings.parallelBuilds),
    deletions: new Background('image.deletions', dependencies, () => finishDeletions(context)),
    connectors: new Background('connector.changes', dependencies, () => finishConnectors(context)),
    tidying: new Background('garbage', dependencies, () => tidy(context)),
    garbage: new GarbageWatch(),
    startedAtMs: dependencies.clock.steady(),
    watchers: [],
    closing: closing.signal,
    draining: false,
  };
  return {
    context,
    operations: bind(context, implementations) as Operations,
    coreOperations: bind(context, coreImplementations) as CoreOperations,
    endpoints: createEndpointSource(context),
    extension: createExtension(context),
    inputLimits: inputLimits(context.settings.limits),
    throttle: createThrottle(context.settings.limits.rates, context.clock),
    async start() {
      listenForEnds(context);
      await readMicrovms(context);
      for (const vm of context.index.all()) void converge(context, vm);
      await resumeInterruptedBuilds(context);
    },
    drain: (deadlineMs) => drain(context, deadlineMs),
    suspendAll: (deadlineMs) => suspendAll(context, deadlineMs),
    rest: (deadlineMs) => restAll(context, deadlineMs),
    close(deadlineMs = 10_000) {
      context.draining = true;
      closing.abort();
      return settle(context, deadlineMs);
    },
  };
}

async function settle(context: AppContext, deadlineMs: number): Promise<void> {
  const background = [context.deletions.idle(), context.connectors.idle(), context.tidying.idle()];
  const acts = context.index.all().map(({ worker }) => worker);
  try {
    await within(deadlineMs, 'Coming to rest', Promise.all([context.builds.idle(), ...background, ...acts]));
  } catch (error) {
    context.log.error('server.close_late', { error: String(error) });
  }
}

type Unbound = (app: AppContext, caller: Caller, input: never) => Promise<unknown>;

function bind(context: AppContext, unbound: Readonly<Record<string, Unbound>>): object {
  const bound = Object.entries(unbound).map(([name, implementation]) => [
    name,
    (caller: Caller, input: never) => implementation(context, caller, input),
  ]);
  return Object.fromEntries(bound);
}

function listenForEnds(context: AppContext): void {
  context.node.onEnded((microvmId, reason) => {
    const vm = context.index.get(microvmId);
    if (!vm) return;
    hearEnd(context, vm, reason).catch((error: unknown) => {
      context.log.error('microvm.end_not_handled', { microvmId, error: String(error) });
    });
  });
}
