// Does an image work as its MicroVMs will have it? `/validate` is asked in a new VM that is restored from the snapshot and thrown away. Reference c.2, d.3.
import { join } from 'node:path';
import type { BuildOrder } from '../contract/node-api.ts';
import { newFreshness } from '../vmm/freshness.ts';
import { type BuildVmTools, watched, withBuildVm } from './build-vm.ts';
import { pollHook } from './readiness.ts';

/**
 * Resolves when `/validate` has answered 200. Rejects with `build_failed`. What the VM writes goes into memory and below `workDirectory`:
 * the image, a whole one that is not at its place yet, stays as it is. False when the hook is not enabled.
 */
export async function validateImage(
  tools: BuildVmTools,
  { buildId, hooks: { port, validateSeconds: seconds } }: BuildOrder,
  image: string,
  workDirectory: string,
  onLog: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (seconds === undefined || port === undefined) return false;
  onLog('--- validating the snapshot in a MicroVM restored from it\n');
  const order = {
    runDirectory: tools.runDirectory,
    image,
    disks: join(workDirectory, 'validation'),
    freshness: newFreshness(`microvm-${buildId}`),
    onConsole: (text: Buffer): void => onLog(text.toString('utf8')),
    ...(signal ? { signal } : {}),
  };
  try {
    await withBuildVm(
      tools.slots,
      (wire) => tools.driver.restore({ ...order, ...wire }),
      (machine) => {
        const hook = { name: 'validate', port, seconds } as const;
        const poll = (): Promise<void> => pollHook(machine.guest, hook, tools.readiness, onLog, signal);
        return watched(machine, 'validated', poll, signal);
      },
      signal,
    );
  } finally {
    // It is moved, or removed.
    tools.driver.forget(image);
  }
  return true;
}
