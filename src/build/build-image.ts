// From a zip to an image: extract, build the container, make the root disk, boot it, wait until it is ready, snapshot it running,
// and look whether what is restored from that works.
import type { BuildOrder, BuildOutcome, BuildReasonCode } from '../contract/node-api.ts';
import { diskFault } from '../lib/disk-faults.ts';
import { freshDirectory, moveIntoPlace, remove } from '../lib/durable-file.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { startStopwatch } from '../lib/stopwatch.ts';
import type { AppPlan } from '../vmm/driver.ts';
import { type BuildVmTools, watched, withBuildVm } from './build-vm.ts';
import { guestEnvironment } from './guest-environment.ts';
import { writeImageRecord } from './image-record.ts';
import { untilReady } from './readiness.ts';
import { validateImage } from './validation.ts';

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

export interface BuildTools extends BuildVmTools {
  builder: Builder;
  /** Whether RUN steps on the host get the network that guests have; otherwise they have none. */
  runStepsOnline: boolean;
}

/** Makes the image at `target`, whole and validated or not at all. Rejects with `build_failed`, or `aborted` on `signal`. */
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
      await freshDirectory(directory);
    }
    const built = await buildContainer(tools, order, workDirectory, onLog, signal);
    stopwatch.lap('container');
    const environment = { ...built.plan.environment, ...guestEnvironment(order), ...order.environment };
    const plan = { ...built.plan, environment, allCapabilities: order.allCapabilities };
    const snapshot = async (): ReturnType<typeof initialize> => {
      const sizes = await initialize(tools, order, { ...built, plan }, aside, onLog, signal);
      stopwatch.lap('initialize');
      await writeImageRecord(aside, order, sizes.memoryBytes);
      if (await validateImage(tools, order, aside, workDirectory, onLog, signal)) stopwatch.lap('validate');
      return sizes;
    };
    const sizes = await snapshot().catch((error: unknown) => {
      throw withInstalled(asBuildFailure(error), built.codeInstallBytes);
    });
    await moveIntoPlace(aside, target);
    return {
      memorySnapshotBytes: sizes.memoryBytes,
      diskSnapshotBytes: sizes.diskBytes,
      codeInstallBytes: built.codeInstallBytes,
      stages: stopwatch.stages(),
    };
  } catch (error) {
    // Its VMs are ended by the signal, and what fails by that says nothing of the build.
    throw signal?.aborted ? new Fault('aborted', { what: 'The build' }, error) : asBuildFailure(error);
  } finally {
    // What cannot be removed now, the next start removes; the build is what it is.
    for (const directory of [aside, workDirectory]) await remove(directory).catch(() => {});
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
  const { driver, slots, readiness, runDirectory } = tools;
  onLog('--- starting the application in a MicroVM\n');
  const boot = {
    runDirectory,
    image,
    size: { memoryMib: order.memoryMib, vcpus: order.vcpus },
    rootDisk: built.rootDisk,
    onConsole: (text: Buffer): void => onLog(text.toString('utf8')),
    ...(signal ? { signal } : {}),
  };
  return withBuildVm(
    slots,
    (wire) => driver.boot({ ...boot, ...wire }),
    async (machine) => {
      const untilItMayBeSaved = async (): Promise<void> => {
        await machine.guest.start(built.plan);
        await untilReady(machine.guest, order.hooks, readiness, onLog, signal);
      };
      await watched(machine, 'ready', untilItMayBeSaved, signal);
      onLog('--- taking the snapshot\n');
      return machine.saveImage();
    },
    signal,
  );
}

/** The container stays built, whatever its application does then: its size is told with the failure. */
function withInstalled(error: unknown, codeInstallBytes: number): unknown {
  if (!isFault(error, 'build_failed')) return error;
  return new Fault('build_failed', { ...error.facts, codeInstallBytes }, error);
}

function asBuildFailure(error: unknown): unknown {
  if (isFault(error, 'build_failed', 'aborted')) return error;
  const reason: BuildReasonCode = isFault(diskFault(error, ''), 'disk_full')
    ? 'DISK_STORAGE_FULL'
    : 'INTERNAL_PLATFORM_ERROR';
  const what = error instanceof Fault ? error.message : 'The host could not build the image; its log says more.';
  return new Fault('build_failed', { reason, what }, error);
}
