// What a server is told from outside, validated once. Nobody else reads arguments or the environment.
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import type { Lifecycle } from '../contract/lifecycle.ts';
import { Fault } from '../lib/errors.ts';
import { idleSignalSetting } from './idle-signals.ts';
import { quotaSetting } from './quotas.ts';

const port = z.number().int().min(0).max(65535);
const absolutePath = z.string().refine(isAbsolute, 'must be an absolute path');

const dayMs = 86_400_000;
/** Milliseconds, or the word for no end. */
const duration = <const W extends string>(word: W) => z.union([z.number().int().min(1000), z.literal(word)]);

const schema = z
  .object({
    /** Everything durable. Made when missing. */
    dataDirectory: absolutePath,
    /** What set-up made: guest kernel, tools, base images. */
    toolkitDirectory: absolutePath,
    /** Address that both servers listen on. */
    host: z.string().default('127.0.0.1'),
    /** Control plane and S3. 0 picks a free one. */
    apiPort: port.default(9100),
    /** 443 lets `endpoint` work as a bare host name; with any other port the value carries it. 0 picks a free one. */
    gatewayPort: port.default(443),
    /** Threads that serve the endpoints of MicroVMs. */
    gatewayThreads: z.number().int().min(1).max(64).default(1),
    driver: z.enum(['qemu', 'fake']).default('qemu'),
    accelerator: z.enum(['auto', 'tcg', 'kvm']).default('auto'),
    profile: z.enum(['open', 'aws']).default('open'),
    /** What keeps a MicroVM awake beside bytes that come in, instead of what the profile has: `requests`, `lease`, `cpu=10` … */
    idleSignals: z.array(idleSignalSetting).min(1).max(16).optional(),
    /** `NAME=VALUE`: quotas of an account that differ from the profile's. The last one of a name counts. */
    quotas: z.array(quotaSetting).max(256).default([]),
    /** `host`: one host name per MicroVM below the suffix. `port`: one loopback port each. */
    endpointMode: z.enum(['host', 'port']).default('host'),
    endpointSuffix: z
      .string()
      .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'must be a DNS suffix of at least two labels, e.g. vm.localhost')
      .default('vm.localhost'),
    /** PEM files of the operator's own, both or neither; without them a local authority makes a certificate. */
    tlsKeyFile: absolutePath.optional(),
    tlsCertFile: absolutePath.optional(),
    /** What clients must trust; default: the certificate itself. */
    tlsCaFile: absolutePath.optional(),
    region: z
      .string()
      .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must look like us-east-1')
      .default('us-east-1'),
    account: z
      .string()
      .regex(/^\d{12}$/, 'must be 12 digits')
      .default('000000000000'),
    /** What guests reach by default. */
    egress: z.enum(['internet', 'none']).default('internet'),
    /** UDP to the internet too. Without it: TCP, and names through the server's own resolver. */
    egressUdp: z.boolean().default(false),
    /** Private networks that guests may reach although they are not the internet. The host's own addresses stay out of reach. */
    allowedPrivateRanges: z
      .array(z.string().regex(/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/, 'must be a network such as 192.168.7.0/24'))
      .max(64)
      .default([]),
    /** Where Dockerfiles are built: each in a throw-away VM, or in a cage on the host, for trusted ones of a single account. */
    buildIsolation: z.enum(['vm', 'host']).default('vm'),
    /** How long the container build of one image may take. */
    buildTimeoutMs: z
      .number()
      .int()
      .positive()
      .default(15 * 60_000),
    /** MicroVMs that run at once. */
    maxRunning: z.number().int().min(1).max(4096).default(256),
    /** Memory for MicroVMs and builds together, counted by what images ask for. Default: the host's minus a reserve. */
    memoryMib: z.number().int().min(128).optional(),
    /** How many times its baseline of processors (one per 2,048 MiB) a MicroVM may use while others leave it. */
    cpuBurst: z.number().min(0.25).max(1024).default(4),
    /** Left free on the data directory's file system by launches and builds; wakes leave half of it. Default by its size. */
    diskReserveMib: z.number().int().min(0).optional(),
    /** VMs that start at the same time. Default: one per processor, two at least. */
    parallelLaunches: z.number().int().min(1).max(1024).optional(),
    /** Network slots prepared ahead. */
    preparedSlots: z.number().int().min(1).max(64).default(3),
    /** Age at which the key that seals endpoint tokens is replaced. Tokens of earlier keys stay valid until they expire. */
    tokenKeyHours: z.number().int().min(1).max(87_600).default(720),
    /** File that gets a line of JSON for every request to a MicroVM; `-` is standard output. None without it. */
    accessLog: z.union([z.literal('-'), absolutePath]).optional(),
    /** Port on 127.0.0.1 that serves metrics without a signature. None without it; 0 picks a free one. */
    metricsPort: port.optional(),
    /** Days between two passes of the scrubber, which reads everything that is kept; 0: on request only. */
    scrubDays: z.number().int().min(0).max(3_650).default(7),
    /** How fast it reads. */
    scrubMibPerSecond: z.number().int().min(1).max(100_000).default(20),
    /** For how long a MicroVM may sleep, whatever its own policy says. Milliseconds, as all of these. */
    keepSuspendedMs: duration('forever').default('forever'),
    /** Newest versions of each image that stay although no MicroVM uses them. */
    keepVersions: z.union([z.number().int().min(1).max(10_000), z.literal('all')]).default('all'),
    /** Records of MicroVMs that have ended; what they used stays. */
    keepEndedMs: duration('forever').default(30 * dayMs),
    /** Logs of builds that have ended; a log never outlives its build. */
    keepLogsMs: duration('forever').default('forever'),
    /** Orphans that hold nobody's work are reaped by themselves once they have been orphans for so long. */
    reapAfterMs: duration('never').default(dayMs),
    /** What becomes of a MicroVM that ran when its VMM, or the host, is gone: it ends, or goes on from its last snapshot. */
    lostVms: z.enum(['end', 'restore']).default('end'),
    /** On the way down: MicroVMs that run are not put to sleep but left to the next start. */
    keepVms: z.boolean().default(false),
    /** On the way down: how long sleeping all MicroVMs may take. */
    shutdownMs: z.number().int().positive().default(60_000),
  })
  .refine(({ tlsKeyFile, tlsCertFile }) => (tlsKeyFile === undefined) === (tlsCertFile === undefined), {
    path: ['tlsCertFile'],
    message: 'and tlsKeyFile go together',
  });

export type ServerSettings = z.output<typeof schema>;
export type ServerOptions = z.input<typeof schema>;

/** Fills in defaults. Throws `invalid_input` that names the setting. */
export function parseSettings(options: ServerOptions): ServerSettings {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Fault('invalid_input', { what: `The setting ${issue?.path.join('.')} ${issue?.message}.` }, parsed.error);
}

/** The policies that have an end. */
export function lifecycleOf(settings: ServerSettings): Lifecycle {
  const { keepSuspendedMs, keepVersions, keepEndedMs, keepLogsMs, reapAfterMs } = settings;
  const all = { keepSuspendedMs, keepVersions, keepEndedMs, keepLogsMs, reapAfterMs };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => typeof value === 'number'));
}
