// `waterbear serve`: runs the server until it is told to stop; what it leaves behind is its data directory.
import { flushCompileCache } from 'node:module';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { idleSignalSetting } from '../../src/config/idle-signals.ts';
import { quotaSetting } from '../../src/config/quotas.ts';
import { parseSettings, type ServerSettings } from '../../src/config/settings.ts';
import { rateNames } from '../../src/contract/limits.ts';
import { countNames, endpointQuotaNames } from '../../src/contract/quotas.ts';
import { createLog } from '../../src/lib/log.ts';
import type { RunningServer } from '../../src/main.ts';
import { announce } from '../announce.ts';
import { choiceOption, defineCommand, numberOption, portOption } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { explain } from '../explain.ts';
import { lifecycleFlags, lifecycleFrom, lifecycleOptions } from '../lifecycle-options.ts';
import { plural } from '../listing.ts';
import { chooseGatewayPort, notBindable, whyNotBindable } from '../ports.ts';
import { fired, listenForStop } from '../stop-signals.ts';
import type { Surroundings } from '../surroundings.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  host: z.string().min(1, 'must be an address').default('127.0.0.1'),
  apiPort: portOption.default(9100),
  gatewayPort: portOption.optional(),
  gatewayThreads: numberOption(1, 64).optional(),
  driver: choiceOption(['qemu', 'fake']).default('qemu'),
  accel: choiceOption(['auto', 'tcg', 'kvm']).default('auto'),
  profile: choiceOption(['open', 'aws']).default('open'),
  idleSignals: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(idleSignalSetting))
    .optional(),
  quota: z.array(quotaSetting).default([]),
  endpoint: choiceOption(['host', 'port']).default('host'),
  egress: choiceOption(['internet', 'none']).default('internet'),
  egressUdp: z.boolean().default(false),
  allowPrivate: z.array(z.string()).default([]),
  buildIsolation: choiceOption(['vm', 'host']).default('vm'),
  suffix: z.string().min(1).optional(),
  tlsKey: z.string().min(1, 'must name a file').optional(),
  tlsCert: z.string().min(1, 'must name a file').optional(),
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must look like us-east-1')
    .default('us-east-1'),
  memory: numberOption(128, 999_999_999).optional(),
  cpuBurst: numberOption(0.25, 1024, 'any').optional(),
  diskReserve: numberOption(0, 999_999_999).optional(),
  parallelLaunches: numberOption(1, 1024).optional(),
  lostVms: choiceOption(['end', 'restore']).default('end'),
  keepVms: z.boolean().default(false),
  tokenKeyHours: numberOption(1, 87_600).default(720),
  ...lifecycleOptions,
  accessLog: z.string().min(1, 'must name a file, or be - or off').default('off'),
  metricsPort: portOption.optional(),
  scrubDays: numberOption(0, 3_650).optional(),
  scrubMibPerSecond: numberOption(1, 100_000).optional(),
  log: choiceOption(['silent', 'error', 'warn', 'info']).default('warn'),
});
type ServeOptions = z.output<typeof schema>;

export const serve = defineCommand({
  name: 'serve',
  summary: 'start the server: API, S3 endpoint and the HTTPS gateway of the MicroVMs',
  details: `
SIGTERM, Ctrl-C or the end of the terminal puts all MicroVMs to sleep and stops; they wake after the next start.
With --keep-vms they run on meanwhile, and the next start takes them over, as it does after a crash.
One that cannot be put to sleep runs on, too, and the exit code is 1. A second signal stops at once.

Quotas of an account, whole numbers:
  ${countNames.join(', ')}
Rates of an account per second and as many at once, whole numbers or unlimited
(run is for ResumeMicrovm too, read and write for each operation without a rate of its own):
  ${rateNames.slice(0, 4).join(', ')},
  ${rateNames.slice(4).join(', ')}
Limits of the endpoint of each MicroVM, whatever its size, whole numbers or unlimited:
  ${endpointQuotaNames.join(', ')}
GET /waterbear/v1/info shows those in force.`,
  flags: [
    dataFlag,
    { flags: '--host <address>', text: 'address to listen on (default: 127.0.0.1)' },
    { flags: '--api-port <port>', text: 'port of the AWS API and of S3; 0 takes a free one (default: 9100)' },
    {
      flags: '--gateway-port <port>',
      text: 'HTTPS port of the MicroVMs (default: 443, or 8443 where 443 cannot be had)',
    },
    { flags: '--gateway-threads <n>', text: 'threads that serve the MicroVMs, 1 to 64 (default: 1)' },
    { flags: '--driver <name>', text: 'qemu: real VMs; fake: simulated ones, for tests of clients (default: qemu)' },
    { flags: '--accel <name>', text: 'auto, kvm, or tcg: emulation, works everywhere, slower (default: auto)' },
    { flags: '--profile <name>', text: 'open: few limits; aws: the limits of AWS (default: open)' },
    {
      flags: '--idle-signals <list>',
      text: 'what keeps a MicroVM awake beside incoming bytes: requests, lease, cpu[=percent], outbound[=bytes], or none (default: by profile)',
    },
    {
      flags: '--quota <name=value...>',
      text: 'quotas that differ from the profile, e.g. images=200 run-per-second=50; names below',
    },
    {
      flags: '--endpoint <mode>',
      text: 'host: a host name per MicroVM; port: a local port per MicroVM (default: host)',
    },
    { flags: '--suffix <name>', text: 'DNS suffix of the host names (default: vm.localhost)' },
    { flags: '--tls-key <file>', text: 'PEM key of your own certificate (default: a local authority makes one)' },
    { flags: '--tls-cert <file>', text: 'PEM certificate chain to it, for *.SUFFIX' },
    {
      flags: '--egress <reach>',
      text: 'internet: guests and RUN steps reach public addresses over TCP; none: they reach nothing (default: internet)',
    },
    { flags: '--egress-udp', text: 'let guests send UDP too (names are resolved without)' },
    {
      flags: '--allow-private <cidr...>',
      text: 'private networks that guests may reach; never an address of this host (default: none)',
    },
    {
      flags: '--build-isolation <place>',
      text: 'vm: each image is built in a VM of its own; host: quicker, for Dockerfiles you trust (default: vm)',
    },
    { flags: '--region <name>', text: 'region in ARNs and signatures (default: us-east-1)' },
    {
      flags: '--memory <mib>',
      text: "memory for MicroVMs and builds together (default: the host's, without a tenth or 1 GiB)",
    },
    {
      flags: '--cpu-burst <times>',
      text: 'peak of a MicroVM in multiples of its baseline, which is one processor per 2,048 MiB (default: 4)',
    },
    {
      flags: '--disk-reserve <mib>',
      text: 'disk space that launches and builds leave free; wakes leave half of it (default: 5 %, 4 GiB at least)',
    },
    { flags: '--parallel-launches <n>', text: 'VMs that start at the same time (default: one per processor)' },
    {
      flags: '--lost-vms <fate>',
      text: 'a MicroVM whose VMM died, or whose host was restarted: end, or restore: go on from its last sleep (default: end)',
    },
    { flags: '--keep-vms', text: 'when the server stops, let MicroVMs run on; the next start takes them over' },
    {
      flags: '--token-key-hours <n>',
      text: 'age at which the key of endpoint tokens is replaced; tokens stay valid (default: 720)',
    },
    ...lifecycleFlags,
    {
      flags: '--access-log <file>',
      text: 'a line of JSON for every request to a MicroVM; - is standard output (default: off). SIGHUP opens it anew',
    },
    { flags: '--metrics-port <port>', text: 'serve /metrics on 127.0.0.1 without a signature (default: no)' },
    {
      flags: '--scrub-days <n>',
      text: 'days between two passes that read all files and compare them with their checksums; 0: on request only (default: 7)',
    },
    { flags: '--scrub-mib-per-second <n>', text: 'how fast such a pass reads (default: 20)' },
    { flags: '--log <level>', text: 'silent, error, warn or info: JSON lines on standard error (default: warn)' },
  ],
  schema,
  run: runServer,
});

async function runServer(options: ServeOptions, around: Surroundings): Promise<number> {
  const stop = listenForStop(process, (exitCode) => {
    around.err.write('Stopped at once. MicroVMs run on; the next start on this data directory takes them over.\n');
    process.exit(exitCode);
  });
  let running: RunningServer | undefined;
  // Without such a log the signal has its first meaning: the terminal is gone. That sends it more than once, so it is heard until the process ends.
  process.on('SIGHUP', () => (options.accessLog === 'off' ? stop.ask() : running?.reopenLogs()));
  try {
    // A parent that started us with a channel wants us to end with it.
    process.once('disconnect', () => stop.ask());
    const settings = await settingsFrom(options, around);
    // Loaded only here: the other commands start faster without the server.
    const { startServer } = await import('../../src/main.ts');
    const server = await startServer(settings, createLog(options.log));
    running = server;
    let exitCode = 0;
    try {
      announce(server.facts, settings, around);
      process.send?.({ listening: server.facts });
      // Node does so at an orderly end, and the next start is to be a quick one after any other, too.
      flushCompileCache();
      await fired(stop.asked);
      const meanwhile = settings.keepVms ? 'MicroVMs run on.' : 'putting MicroVMs to sleep.';
      around.out.write(`Stopping: ${meanwhile} A second signal stops at once.\n`);
    } finally {
      running = undefined;
      exitCode = await server.close().then(
        (left) => tellLeft(left, settings.keepVms, around),
        (error: unknown) => {
          around.err.write(`${explain(error, Boolean(around.env.WATERBEAR_DEBUG))}\n`);
          return 1;
        },
      );
    }
    if (exitCode === 0) around.out.write(`Stopped. Everything is kept in ${settings.dataDirectory}.\n`);
    return exitCode;
  } finally {
    stop.dispose();
    if (process.connected) process.disconnect();
  }
}

/** The exit code: whoever did not ask for it must hear that MicroVMs run on, be it a service manager. */
function tellLeft(left: number, wasAsked: boolean, { out, err }: Surroundings): 0 | 1 {
  if (left === 0) return 0;
  const what = plural(left, 'MicroVM');
  if (wasAsked) out.write(`Running on, for the next start to take over: ${what}.\n`);
  else err.write(`Not put to sleep, and running on for the next start to take over: ${what}. The log says why.\n`);
  return wasAsked ? 0 : 1;
}

async function settingsFrom(options: ServeOptions, around: Surroundings): Promise<ServerSettings> {
  const { host, apiPort } = options;
  const why = apiPort === 0 ? undefined : await whyNotBindable(host, apiPort);
  if (why !== undefined) throw notBindable(host, apiPort, why, why === 'EADDRNOTAVAIL' ? '--host' : '--api-port');
  const gateway = await chooseGatewayPort(host, options.gatewayPort);
  if (gateway.note) around.err.write(`${gateway.note}\n`);
  return parseSettings({
    dataDirectory: dataDirectory(options.data, around),
    toolkitDirectory: join(around.repositoryDirectory, '.waterbear'),
    host,
    apiPort,
    gatewayPort: gateway.port,
    ...(options.gatewayThreads === undefined ? {} : { gatewayThreads: options.gatewayThreads }),
    driver: options.driver,
    accelerator: options.accel,
    profile: options.profile,
    ...(options.idleSignals === undefined ? {} : { idleSignals: options.idleSignals }),
    quotas: options.quota,
    endpointMode: options.endpoint,
    egress: options.egress,
    egressUdp: options.egressUdp,
    allowedPrivateRanges: options.allowPrivate,
    buildIsolation: options.buildIsolation,
    ...(options.suffix === undefined ? {} : { endpointSuffix: options.suffix }),
    ...(options.tlsKey === undefined ? {} : { tlsKeyFile: resolve(options.tlsKey) }),
    ...(options.tlsCert === undefined ? {} : { tlsCertFile: resolve(options.tlsCert) }),
    region: options.region,
    tokenKeyHours: options.tokenKeyHours,
    lostVms: options.lostVms,
    keepVms: options.keepVms,
    ...observationFrom(options),
    ...scrubbingFrom(options),
    ...capacityFrom(options),
    ...lifecycleFrom(options),
  });
}

function observationFrom({ accessLog, metricsPort }: ServeOptions): Partial<ServerSettings> {
  return {
    ...(accessLog === 'off' ? {} : { accessLog: accessLog === '-' ? accessLog : resolve(accessLog) }),
    ...(metricsPort === undefined ? {} : { metricsPort }),
  };
}

function scrubbingFrom({ scrubDays, scrubMibPerSecond }: ServeOptions): Partial<ServerSettings> {
  return {
    ...(scrubDays === undefined ? {} : { scrubDays }),
    ...(scrubMibPerSecond === undefined ? {} : { scrubMibPerSecond }),
  };
}

function capacityFrom({ memory, cpuBurst, diskReserve, parallelLaunches }: ServeOptions): Partial<ServerSettings> {
  return {
    ...(memory === undefined ? {} : { memoryMib: memory }),
    ...(cpuBurst === undefined ? {} : { cpuBurst }),
    ...(diskReserve === undefined ? {} : { diskReserveMib: diskReserve }),
    ...(parallelLaunches === undefined ? {} : { parallelLaunches }),
  };
}
