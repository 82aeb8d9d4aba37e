// Chooses where Dockerfiles are built.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../lib/errors.ts';
import type { SlotPool } from '../net/slot.ts';
import type { ThrowawayDriver } from '../vmm/driver.ts';
import type { Builder } from './build-image.ts';
import { createContainerBuilder } from './container-builder.ts';
import { openContainerStore } from './storage.ts';
import { createVmBuilder } from './vm-builder.ts';

export interface BuilderChoice {
  isolation: 'vm' | 'host';
  /** What set-up made. */
  toolkitDirectory: string;
  /** For the caches of the accounts; made when missing. */
  cacheDirectory: string;
  driver: ThrowawayDriver;
  slots: SlotPool;
  /** Of one container build. */
  timeoutMs?: number;
}

/** Rejects with `missing_tool` when set-up has not made what builds need. */
export async function openBuilder(choice: BuilderChoice): Promise<Builder> {
  const { toolkitDirectory, timeoutMs } = choice;
  const limits = timeoutMs === undefined ? {} : { timeoutMs };
  const containers = join(toolkitDirectory, 'containers');
  if (choice.isolation === 'host')
    return createContainerBuilder({ store: await openContainerStore(containers), ...limits });
  const rootDisk = join(toolkitDirectory, 'builder', 'root.ext4');
  await stat(rootDisk).catch((cause: unknown) => {
    throw new Fault('missing_tool', { tool: `The builder's disk (${rootDisk})`, next: 'npm run setup' }, cause);
  });
  const { driver, slots, cacheDirectory } = choice;
  return createVmBuilder({ driver, slots, cacheDirectory, rootDisk, containers, ...limits });
}
