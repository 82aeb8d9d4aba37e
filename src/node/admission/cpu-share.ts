// What a VM may take of the processors, by its size: 2,048 MiB stand for one processor, and the peak is a multiple of that (reference c.5).
import type { CpuShare } from '../../vmm/driver.ts';

const mibPerProcessor = 2048;

/** The VMM works for its guest beside the guest's processors: disk, network, monitor. */
const vmmExtra = 0.5;

/** `burst`: how many times its baseline a VM may use while others leave it. `least`: no smaller cap, in processors. */
export function cpuShare(size: { baselineMib: number; vcpus: number }, burst: number, least = 0): CpuShare {
  const baseline = size.baselineMib / mibPerProcessor;
  const weight = Math.min(10_000, Math.max(1, Math.round(100 * baseline)));
  return { weight, max: Math.min(Math.max(baseline * burst, least), size.vcpus + vmmExtra) };
}
