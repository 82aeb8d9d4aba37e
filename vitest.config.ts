// Test tiers: unit (beside the code), fake (whole system on the fake driver), real (QEMU), conformance (real AWS clients).
import { defineConfig } from 'vitest/config';

const tier = (name: string, include: string[], options: { timeoutMs: number; serial?: boolean }) => ({
  test: {
    name,
    include,
    testTimeout: options.timeoutMs,
    hookTimeout: options.timeoutMs,
    ...(options.serial ? { fileParallelism: false, sequence: { groupOrder: 1 } } : {}),
  },
});

export default defineConfig({
  test: {
    projects: [
      tier('unit', ['src/**/*.test.ts', 'tests/unit/**/*.test.ts', 'cli/**/*.test.ts'], { timeoutMs: 15_000 }),
      tier('fake', ['tests/fake/**/*.test.ts'], { timeoutMs: 30_000 }),
      tier('conformance', ['tests/conformance/**/*.test.ts'], { timeoutMs: 60_000, serial: true }),
      tier('real', ['tests/real/**/*.test.ts'], { timeoutMs: 180_000, serial: true }),
    ],
  },
});
