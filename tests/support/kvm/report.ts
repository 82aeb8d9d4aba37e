// What the program in the emulated machine tells the test, as one line on its console.
import { z } from 'zod';

/** A line of counter.sh, and the wall clock of the VM's host when it came. */
const tick = z.object({
  number: z.number(),
  uptimeSeconds: z.number(),
  wallSeconds: z.number(),
  host: z.string(),
  memory: z.string(),
  draw: z.string(),
  cameMs: z.number(),
});

/** The VMM as /proc and its cgroup show it. */
const jail = z.object({
  /** Of version 2. */
  cgroup: z.string(),
  /** Content of the files of its cgroup. */
  limits: z.record(z.string(), z.string()),
  /** `where how kind` of each mount. */
  mounts: z.array(z.string()),
  root: z.array(z.string()),
  status: z.record(z.string(), z.string()),
});

/** One VM from its boot or restore to its end. */
const life = z.object({
  repaired: z.array(z.string()),
  stages: z.record(z.string(), z.number()),
  /** Kernel objects of KVM that the VMM's process holds. */
  kvmObjects: z.array(z.string()),
  jail,
  ticks: z.array(tick).min(1),
  /** Stages of what ended it. */
  endStages: z.record(z.string(), z.number()),
});

const engine = z.object({ accelerator: z.string(), machine: z.string(), cpu: z.string(), network: z.string() });

export const reportSchema = z.object({
  accelerator: z.string(),
  lives: z.object({ booted: life, first: life, second: life, woken: life }),
  image: engine,
  snapshot: engine,
  snapshotBytes: z.number(),
  /** Fault code of the attempt to wake from a damaged delta. */
  damaged: z.string(),
  /** How far the host's clock was set forward while the VM slept. */
  sleptSeconds: z.number(),
  /** Memory files this process still holds after the driver was closed. */
  memoryFilesLeft: z.number(),
  /** Groups that this driver's tree left. */
  groupsLeft: z.array(z.string()),
});

export type Tick = z.infer<typeof tick>;
export type JailFacts = z.infer<typeof jail>;
export type Life = z.infer<typeof life>;
export type KvmReport = z.infer<typeof reportSchema>;

export const reportMark = 'KVM-REPORT ';
export const stageMark = 'KVM-STAGE ';
