// A QEMU process that an earlier server started: nobody's child, so its end is seen from outside, and how it ended cannot be learnt.
import type { Jail } from './jail.ts';
import { end, untilGone } from './process-identity.ts';
import type { VmmExit, VmmProcess } from './vmm-process.ts';
import type { RunningRecord } from './vmm-record.ts';
import { connectSockets, letGo, scratchOf } from './vmm-sockets.ts';

const connectDeadlineMs = 10_000;

/**
 * Connects to the VMM of a record whose process was found to be the one. Rejects when it cannot be spoken with; nothing has been done to it then. `signal`
 * ends it whenever it fires.
 */
export async function adoptVmm(
  { process: identity, group: groupName }: RunningRecord,
  runDirectory: string,
  { cgroups, pids }: Jail,
  signal?: AbortSignal,
): Promise<VmmProcess> {
  const scratch = scratchOf(identity.pid, runDirectory);
  const stop = AbortSignal.any([AbortSignal.timeout(connectDeadlineMs), ...(signal ? [signal] : [])]);
  const connected = await connectSockets(scratch, stop);
  const group = cgroups.adopt(groupName);
  pids.add(identity.pid);
  let ending = false;
  let left = false;
  const watch = async (): Promise<VmmExit> => {
    // The kernel closes a process's sockets just before it is gone; only a VMM that was broken out of closes its monitor and lives.
    if (!connected.qmp.closed) await new Promise<void>((resolve) => connected.qmp.once('close', resolve));
    if (left) return new Promise(() => {});
    await untilGone(identity);
    const outOfMemory = !ending && (await group.outOfMemory());
    group.remove().catch(() => {});
    return { exitCode: undefined, signal: undefined, errors: '', outOfMemory };
  };
  const exited = watch();
  const kill = async (): Promise<void> => {
    ending = true;
    end(identity);
    connected.qmp.close();
    await exited;
  };
  const onAbort = (): void => void kill();
  signal?.addEventListener('abort', onAbort, { once: true });
  const forget = (): void => {
    signal?.removeEventListener('abort', onAbort);
    pids.delete(identity.pid);
  };
  void exited.then(forget);
  if (signal?.aborted) onAbort();
  const leave = (): void => {
    left = true;
    forget();
    letGo(connected);
    group.leave();
  };
  return { ...connected, pid: identity.pid, identity, group, exited, scratch, kill, leave };
}
