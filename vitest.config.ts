// Test tiers: unit (beside the code), fake (rooms together, on the fake driver), server (a whole one on the fake driver, with its threads),
// conformance (real AWS clients), real (QEMU), long (QEMU too, only in `npm run test:long`), and last what all of them left behind. Tiers run
// one after the other. Tests on real VMs run two files at a time, but for those that use the host's network as only one can, or compare speeds. Files of
// the quick tiers share a process: loading everything anew for each took longer than the tests.
import { defineConfig } from 'vitest/config';

// Whoever plays the world outside needs the host's routes for itself: of those only hostile/guests, which is long, is not alone.
const alone = ['net-*', 'hostile/{neighbour,images,builds-on-host}', 'two-processors', 'chaos'].map(
  (name) => `tests/real/${name}.test.ts`,
);

/** Of tests on real VMs. */
const setupFiles = ['tests/support/end-of-file.ts'];

const tier = (
  name: string,
  order: number,
  include: string[],
  timeoutMs: number,
  options: { workers?: number; together?: boolean; exclude?: string[]; setupFiles?: string[] } = {},
) => ({
  test: {
    name,
    include,
    exclude: options.exclude ?? [],
    setupFiles: options.setupFiles ?? [],
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
    fileParallelism: options.workers !== 1,
    ...(options.workers ? { maxWorkers: options.workers } : {}),
    isolate: !options.together,
    sequence: { groupOrder: order },
  },
});

export default defineConfig({
  test: {
    // Most tests wait more than they work.
    maxWorkers: 4,
    projects: [
      tier('unit', 0, ['src/**/*.test.ts', 'tests/unit/**/*.test.ts', 'cli/**/*.test.ts'], 15_000, { together: true }),
      tier('fake', 1, ['tests/fake/**/*.test.ts'], 30_000, { together: true }),
      tier('server', 2, ['tests/server/**/*.test.ts'], 60_000, { together: true }),
      tier('conformance', 3, ['tests/conformance/**/*.test.ts'], 60_000),
      tier('real', 4, ['tests/real/**/*.test.ts'], 180_000, { workers: 2, exclude: alone, setupFiles }),
      tier('alone', 5, alone, 180_000, { workers: 1, setupFiles }),
      tier('long', 6, ['tests/long/**/*.test.ts'], 900_000, { workers: 1, setupFiles }),
      tier('last', 7, ['tests/last/**/*.test.ts'], 30_000, { workers: 1 }),
    ],
  },
});
