// The composition root: settings → host, store, use cases → servers. Nothing else constructs these.
import { randomBytes } from 'node:crypto';
import { readFile, realpath } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { sigv4Authenticate } from './api/authenticate.ts';
import { startMetricsServer } from './api/metrics-server.ts';
import { createS3Handler } from './api/s3/handler.ts';
import { createControlPlane } from './api/server.ts';
import { cachedKeys } from './api/sigv4/key-cache.ts';
import type { KeyLookup } from './api/sigv4/verify.ts';
import { type App, createApp } from './app/create-app.ts';
import { metricsText } from './app/metrics/metrics-text.ts';
import type { AppSettings } from './app/settings.ts';
import { refuseCopies, refuseWithoutDatabase } from './backup/data-directory.ts';
import { limitsOf, profiles } from './config/profiles.ts';
import { lifecycleOf, type ServerSettings } from './config/settings.ts';
import type { Limits } from './contract/limits.ts';
import type { ServerFacts } from './contract/server-facts.ts';
import { openAuthority, readTlsFiles } from './gateway/authority.ts';
import { openKeyRing } from './gateway/key-ring.ts';
import { LateEndpoints } from './gateway/late-endpoints.ts';
import { gatewayDefaults } from './gateway/settings.ts';
import { createGatewayThreads } from './gateway/threads/gateway-threads.ts';
import { createTokens } from './gateway/token.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import { keepReserve } from './lib/disk-reserve.ts';
import { makeDirectory, remove, removeAsides } from './lib/durable-file.ts';
import { describe } from './lib/errors.ts';
import { requireLineFile } from './lib/line-file.ts';
import type { Log } from './lib/log.ts';
import { isBuildId } from './node/names.ts';
import { openNode } from './node/open-node.ts';
import { openDirectoryStore } from './objects/directory-store.ts';
import { type OpenScrubber, openScrubber } from './scrub/scrubber.ts';
import { createAccount, findAccessKey, listAccessKeys, putAccessKey } from './store/access-keys.ts';
import { lockDirectory } from './store/lock-directory.ts';
import { openStore } from './store/open-store.ts';
import type { AccessKeyRow, Database } from './store/tables.ts';
import { createTasks } from './tasks/create-tasks.ts';
import { serverFile } from './tasks/server-file.ts';

export interface RunningServer {
  /** Control plane and S3. */
  apiUrl: string;
  gatewayPort: number;
  caFile: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  /** What `server.json` says, or will say once it can be written. */
  facts: ServerFacts;
  /** After log files were moved away: what comes next goes to new ones. */
  reopenLogs(): void;
  /**
   * Lets requests under way finish, suspends every MicroVM (or leaves it running, with `keepVms`), and gives back all but the data directory. Resolves with
   * how many MicroVMs run on, for the next start to take over: those that were to be left, or could not be suspended. Idempotent.
   */
  close(): Promise<number>;
}

/** On the way down: how long requests under way may take. */
const drainMs = 2000;

/** Starts everything. When a step fails, what was started before is given back. */
export async function startServer(
  settings: ServerSettings,
  log: Log,
  clock: Clock = systemClock,
): Promise<RunningServer> {
  const stack = new AsyncDisposableStack();
  try {
    await makeDirectory(settings.dataDirectory);
    // The host names journal, VMMs and network after it: by way of a link, the next server would not find those of the last one, and both VMMs would run.
    const dataDirectory = await realpath(settings.dataDirectory);
    return await start({ ...settings, dataDirectory }, log, clock, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function start(
  settings: ServerSettings,
  log: Log,
  clock: Clock,
  stack: AsyncDisposableStack,
): Promise<RunningServer> {
  const { dataDirectory: data, region } = settings;
  const at = (...names: string[]): string => join(data, ...names);
  await refuseCopies(data);
  await makeDirectory(at('keys'));
  stack.use(lockDirectory(data));
  // What a start writes has room, and what is half-made goes.
  await remove(at('disk-reserve'));
  await removeAsides(at('archives'), (name) => isBuildId(basename(name, '.zip')));
  for (const directory of [data, at('keys')]) await removeAsides(directory);
  await refuseWithoutDatabase(data);
  const store = stack.use(await openStore(at('waterbear.db')));
  const key = await firstAccessKey(store.db, settings, clock);
  const objects = await openDirectoryStore({ dir: at('objects'), clock });
  const scrubber = await startScrubber(settings, clock, log);
  stack.use(scrubber);
  const node = await openNode(settings, clock, log, (directories) => scrubber.refuseDamaged(directories));
  // Whatever goes wrong here, MicroVMs that run are not ended by that.
  let left = 0;
  stack.defer(async () => {
    left = await node.leave();
  });
  const ring = stack.use(await openKeyRing(at('keys', 'tokens.json'), clock, { ...tokenKeyTimes(settings), log }));
  const tokens = createTokens(ring);
  const endpoints = new LateEndpoints(log);
  const limits = limitsOf(settings, availableParallelism());
  const app = createApp({
    ...{ db: store.db, node, objects, scrubber, clock, log },
    settings: await appSettings(settings, limits, at('archives')),
    mintToken: (order) => tokens.mint(order),
    tokens,
    traffic: () => gateway.traffic(),
    openEndpoint: (microvmId) => endpoints.open(microvmId),
    closeEndpoint: (microvmId) => endpoints.close(microvmId),
    endpointOf: (microvmId, vmHost) => endpoints.of(microvmId, vmHost),
  });
  stack.defer(() => app.close());
  const { tls, caFile } = await openTls(settings, at('keys'), clock);
  if (settings.accessLog !== undefined) await requireLineFile(settings.accessLog);
  const gateway = createGatewayThreads({
    ...{ threads: settings.gatewayThreads, source: app.endpoints, keys: ring, clock, log, tls },
    ...{ suffix: settings.endpointSuffix, accessLog: settings.accessLog },
    settings: { ...gatewayDefaults, endpointMode: settings.endpointMode, explain: settings.profile === 'open' },
    endIsActivity: limits.idleSignals.requests,
  });
  stack.defer(() => gateway.close());
  await app.start();
  const microvmIds = app.context.index.all().map(({ row }) => row.microvmId);
  const gatewayPort = await endpoints.start(settings, gateway, microvmIds, at('keys', 'ports.json'));
  const keys: KeyLookup = cachedKeys((accessKeyId) => findAccessKey(store.db, accessKeyId), clock);
  const s3 = createS3Handler({ store: objects, keys, clock, log, region, hostSuffixes: ['s3.localhost'] });
  const authenticate = sigv4Authenticate(keys, { clock, regions: [region] });
  const control = createControlPlane({ app, authenticate, s3, log });
  stack.defer(() => control.close());
  const metricsPort = await startMetrics(settings, app, log, stack);
  const apiUrl = `http://${reachable(settings.host)}:${await control.listen(settings.host, settings.apiPort)}`;
  const { accessKeyId, secret: secretAccessKey } = key;
  const where = { apiUrl, s3Url: apiUrl, caFile, region, gatewayPort, ...(metricsPort ? { metricsPort } : {}) };
  const facts = { ...where, accessKeyId, secretAccessKey, pid: process.pid };
  const file = serverFile({ path: at('server.json'), content: JSON.stringify(facts), clock, log });
  // Whoever is told that the server runs may use its commands.
  await file.run();
  const tasks = createTasks(app, clock, { more: [file] });
  stack.defer(() => tasks.stop());
  tasks.start();
  await keepReserve(at('disk-reserve')).catch((error: unknown) =>
    log.error('no_disk_reserve', { why: describe(error) }),
  );
  log.info('server_started', { ...where, ...node.info() });
  const close = once(async () => {
    try {
      await tasks.stop();
      await Promise.all([control.close(drainMs), app.drain(drainMs)]);
      await (settings.keepVms ? app.rest(settings.shutdownMs) : app.suspendAll(settings.shutdownMs));
    } finally {
      await stack.disposeAsync();
    }
    log.info('server_stopped', { left });
    return left;
  });
  const reopenLogs = (): void => gateway.reopenLog();
  const credentials = { accessKeyId, secretAccessKey };
  return { apiUrl, gatewayPort, caFile, region, credentials, facts, reopenLogs, close };
}

/** Without VMs nothing of what set-up made is used. */
function startScrubber(settings: ServerSettings, clock: Clock, log: Log): Promise<OpenScrubber> {
  const { dataDirectory, toolkitDirectory, driver, scrubDays: everyDays, scrubMibPerSecond: mibPerSecond } = settings;
  const toolkit = driver === 'qemu' ? { toolkitDirectory } : {};
  return openScrubber({ dataDirectory, ...toolkit, everyDays, mibPerSecond, clock, log });
}

/** Resolves with the port, where there is to be one. */
async function startMetrics({ metricsPort }: ServerSettings, app: App, log: Log, stack: AsyncDisposableStack) {
  if (metricsPort === undefined) return undefined;
  const { port } = stack.use(await startMetricsServer(metricsPort, () => metricsText(app.context), log));
  return port;
}

/** A server whose profile was changed still honours the longest tokens that it may have given. */
const tokenKeyTimes = ({ tokenKeyHours }: ServerSettings) => ({
  rotateAfterMs: tokenKeyHours * 3_600_000,
  maxTokenMs: Math.max(...Object.values(profiles).map(({ maxTokenMinutes }) => maxTokenMinutes)) * 60_000,
});

async function appSettings(settings: ServerSettings, limits: Limits, archiveDirectory: string): Promise<AppSettings> {
  const { region, account, endpointSuffix: hostSuffix } = settings;
  return {
    region,
    version: await productVersion(),
    account,
    limits,
    hostSuffix,
    archiveDirectory,
    maxArchiveBytes: 1 << 30,
    lifecycle: lifecycleOf(settings),
    lostVms: settings.lostVms,
    parallelBuilds: 1,
  };
}

/** The operator's own certificate, or one of our local authority. */
async function openTls(settings: ServerSettings, directory: string, clock: Clock) {
  const { tlsKeyFile: keyPath, tlsCertFile: certPath, tlsCaFile, endpointSuffix: suffix, endpointMode } = settings;
  if (keyPath !== undefined && certPath !== undefined) {
    const caPath = tlsCaFile ?? certPath;
    return { tls: await readTlsFiles({ keyPath, certPath, caPath }), caFile: caPath };
  }
  const tls = await openAuthority({ directory, suffix, loopback: endpointMode === 'port', clock });
  return { tls, caFile: join(directory, 'ca.crt') };
}

/** An address that a client on this machine can use. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

/** The server's own account and key, made at the first start. */
async function firstAccessKey(db: Database, settings: ServerSettings, clock: Clock): Promise<AccessKeyRow> {
  const { account, buildIsolation } = settings;
  await createAccount(db, { account, createdAtMs: clock.now() }, { buildIsolation });
  const existing = (await listAccessKeys(db)).find((key) => key.account === account);
  if (existing) return existing;
  const letters = randomBytes(16).reduce((text, byte) => text + 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte % 32], 'AKIA');
  const row = {
    accessKeyId: letters,
    account,
    secret: randomBytes(30).toString('base64url'),
    createdAtMs: clock.now(),
  };
  await putAccessKey(db, row);
  return row;
}

async function productVersion(): Promise<string> {
  const text = await readFile(join(import.meta.dirname, '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= work();
    return running;
  };
}
