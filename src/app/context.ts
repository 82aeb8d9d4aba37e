// What every use case works with.
import type { EndpointEvent } from '../contract/data-plane.ts';
import type { Background } from './background.ts';
import type { BuildQueue } from './build-queue.ts';
import type { GarbageWatch } from './garbage/garbage-watch.ts';
import type { StageMetrics } from './metrics/stage-times.ts';
import type { MicrovmIndex } from './microvm-index.ts';
import type { AppDependencies } from './settings.ts';

export interface AppContext extends AppDependencies {
  readonly index: MicrovmIndex;
  readonly stageMetrics: StageMetrics;
  readonly builds: BuildQueue;
  /** Finishes deletions of images and versions. */
  readonly deletions: Background;
  /** Finishes what was asked of network connectors. */
  readonly connectors: Background;
  /** Applies the policies of `settings.lifecycle`. */
  readonly tidying: Background;
  /** What it saw last. */
  readonly garbage: GarbageWatch;
  /** When this server started. */
  readonly startedAtMs: number;
  /** Those that follow what becomes of endpoints. */
  readonly watchers: ((event: EndpointEvent) => void)[];
  /** Aborted by `close`. */
  readonly closing: AbortSignal;
  /** Set once the server is on its way down: nothing starts or wakes any more. */
  draining: boolean;
}
