// From a zip to an image: extract, build the container, make the root disk, boot it, wait until it is ready, snapshot it running.
import { mkdir, rename, rm } from 'node:fs/promises';
import type { BuildOrder, BuildOutcome, BuildReasonCode } from '../contract/node-api.ts';
import { pause } from '../lib/deadline.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { startStopwatch } from '../lib/stopwatch.ts';
import type { SlotPool } from '../net/slot.ts';
import type { AppPlan, Driver, Machine, MachineEnd } from '../vmm/driver.ts';
import { guestEnvironment } from './guest-environment.ts';
import { writeImageRecord } from './image-record.ts';
import { type Readiness, untilReady } from './readiness.ts';

export interface ContainerOrder {
  archivePath: string;
  diskMib: number;
  /** Empty directory of this build alone, for the root disk too. The caller removes it. */
  workDirectory: string;
  /** Whose build it is: no layer of one account is ever seen by another. */
  account: string;
  /** Short path for the sockets of one VM; empty or absent. */
  runDirectory: string;
  networkNamespace?: string;
}

/** Turns an archive into a root disk and says how its application is started. */
export interface Builder {
  build(
    order: ContainerOrder,
    onLog: (text: string) => void,
    signal?: AbortSignal,
  ): Promise<{ rootDisk: string; plan: AppPlan; codeInstallBytes: number }>;
}

export interface BuildTools {
  builder: Builder;
  driver: Driver;
  /** Absent where VMs have no network of their own (the fake driver). */
  slots: SlotPool | undefined;
  /** Whether RUN steps on the host get the network that guests have; otherwise they have none. */
  runStepsOnline: boolean;
  readiness: Readiness;
  /** Short path for the sockets of one VM; empty or absent. */
  runDirectory: string;
}

/** Makes the image at `target`, whole or not at all. Rejects with `build_failed`. */
export async function buildImage(
  tools: BuildTools,
  order: BuildOrder,
  target: string,
  onLog: (text: string) => void,
  signal?: AbortSignal,
): Promise<BuildOutcome> {
  const stopwatch = startStopwatch();
  const aside = `${target}.new`;
  const workDirectory = `${target}.work`;
  try {
    for (const directory of [aside, workDirectory]) {
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { recursive: true, mode: 0o700 });
    }
    const built = await buildContainer(tools, order, workDirectory, onLog, signal);
    stopwatch.lap('container');
    const environment = { ...built.plan.environment, ...guestEnvironment(order), ...order.environment };
    const plan = { ...built.plan, environment, allCapabilities: order.allCapabilities };
    const sizes = await initialize(tools, order, { ...built, plan }, aside, onLog, signal).catch((error: unknown) => {
      throw withInstalled(asBuildFailure(error), built.codeInstallBytes);
    });
    stopwatch.lap('initialize');
    await writeImageRecord(aside, order, sizes.memoryBytes);
    await rename(aside, target);
    return {
      memorySnapshotBytes: sizes.memoryBytes,
      diskSnapshotBytes: sizes.diskBytes,
      codeInstallBytes: built.codeInstallBytes,
      stages: stopwatch.stages(),
    };
  } catch (error) {
    throw asBuildFailure(error);
  } finally {
    for (const directory of [aside, workDirectory]) await rm(directory, { recursive: true, force: true });
  }
}

/** On the host, RUN steps run in a slot of their own, in the place of a guest and with no more reach. */
async function buildContainer(
  tools: BuildTools,
  order: BuildOrder,
  workDirectory: string,
  onLog: (text: string) => void,
  signal: AbortSignal | undefined,
): ReturnType<Builder['build']> {
  const slot = tools.runStepsOnline ? await tools.slots?.acquire(signal) : undefined;
  try {
    const { archivePath, diskMib, account } = order;
    const network = slot ? { networkNamespace: slot.namespace } : {};
    const container = { archivePath, diskMib, account, workDirectory, runDirectory: tools.runDirectory, ...network };
    return await tools.builder.build(container, onLog, signal);
  } finally {
    await slot?.release();
  }
}

async function initialize(
  tools: BuildTools,
  order: BuildOrder,
  built: { rootDisk: string; plan: AppPlan },
  image: string,
  onLog: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<{ memoryBytes: number; diskBytes: number }> {
  const slot = await tools.slots?.acquire(signal);
  try {
    onLog('--- starting the application in a MicroVM\n');
    const machine = await tools.driver.boot({
      runDirectory: tools.runDirectory,
      image,
      size: { memoryMib: order.memoryMib, vcpus: order.vcpus },
      rootDisk: built.rootDisk,
      ...(slot ? { wire: slot } : {}),
      onConsole: (text) => onLog(text.toString('utf8')),
      ...(signal ? { signal } : {}),
    });
    try {
      await unlessItEnds(machine, async () => {
        await machine.guest.start(built.plan);
        await untilReady(machine.guest, order.hooks, tools.readiness, onLog, signal);
      });
      onLog('--- taking the snapshot\n');
      return await machine.saveImage();
    } finally {
      await machine.kill();
    }
  } finally {
    await slot?.release();
  }
}

/** Runs `work`, but fails at once when the VM or its application ends first. */
async function unlessItEnds(machine: Machine, work: () => Promise<void>): Promise<void> {
  const ended = machine.ended.then((end: MachineEnd) => {
    const reason: BuildReasonCode =
      end.cause === 'application_exited' ? 'APPLICATION_EXITED' : 'INTERNAL_PLATFORM_ERROR';
    throw new Fault('build_failed', { reason, what: `${end.what} Before it was ready.${lastWords(end.consoleTail)}` });
  });
  ended.catch(() => {});
  const working = work();
  working.catch(() => {});
  try {
    await Promise.race([working, ended]);
  } catch (error) {
    // A guest that ends makes calls to it fail a moment before its end is known: let the end speak.
    if (!isFault(error, 'guest_failed')) throw error;
    await Promise.race([ended, pause(500)]);
    throw error;
  }
}

function lastWords(consoleTail: string): string {
  const lines = consoleTail.trim().split('\n').slice(-5).join('\n');
  return lines ? ` Its last output was:\n${lines}` : '';
}

/** The container stays built, whatever its application does then: its size is told with the failure. */
function withInstalled(error: unknown, codeInstallBytes: number): unknown {
  if (!isFault(error, 'build_failed')) return error;
  return new Fault('build_failed', { ...error.facts, codeInstallBytes }, error);
}

function asBuildFailure(error: unknown): unknown {
  if (isFault(error, 'build_failed', 'aborted')) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const reason: BuildReasonCode = code === 'ENOSPC' ? 'DISK_STORAGE_FULL' : 'INTERNAL_PLATFORM_ERROR';
  const what = error instanceof Fault ? error.message : 'The host could not build the image; its log says more.';
  return new Fault('build_failed', { reason, what }, error);
}
