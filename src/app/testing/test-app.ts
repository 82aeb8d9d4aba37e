// An app on a stub host, an in-memory store and a hand-driven clock, for tests.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Activity } from '../../contract/data-plane.ts';
import type { GetMicrovmResponse, RunMicrovmRequest } from '../../contract/generated/operations.ts';
import type { Lifecycle } from '../../contract/lifecycle.ts';
import type { Limits } from '../../contract/limits.ts';
import { Signs } from '../../contract/signs.ts';
import type { TokenOrder, TokenRevoker } from '../../contract/token-claims.ts';
import { newTraffic, type Traffic } from '../../contract/traffic.ts';
import { silentLog } from '../../lib/log.ts';
import { ManualClock } from '../../lib/manual-clock.ts';
import { openStore, type Store } from '../../store/open-store.ts';
import { type App, createApp } from '../create-app.ts';
import { createMicrovmImage } from '../operations/create-microvm-image.ts';
import { getMicrovm } from '../operations/get-microvm.ts';
import { runMicrovm } from '../operations/run-microvm.ts';
import type { AppSettings, Caller } from '../settings.ts';
import { StubNode } from './stub-node.ts';
import { stubObjects } from './stub-objects.ts';
import { type StubScrubber, stubScrubber } from './stub-scrubber.ts';

export const caller: Caller = { account: '123456789012' };
export const demoArn = 'arn:aws:lambda:us-east-1:123456789012:microvm-image:demo';

export const testLimits: Limits = {
  name: 'open',
  minIdleSeconds: 1,
  maxIdleSeconds: 28_800,
  maxDurationSeconds: 28_800,
  defaultDurationSeconds: 28_800,
  maxTokenMinutes: 60,
  holdWhilePending: true,
  idleSignals: { requests: true, lease: true },
  anyArchitecture: true,
  imageHookSeconds: 30,
  microvmHookSeconds: 1,
  suspendHookFailureEnds: false,
  maxImages: 100,
  maxOpenBuilds: 5,
  maxVersions: 50,
  maxConnectors: 100,
  maxMemoryMib: 400 * 1024,
  rates: {
    'run-per-second': 'unlimited',
    'suspend-per-second': 'unlimited',
    'terminate-per-second': 'unlimited',
    'get-per-second': 'unlimited',
    'auth-token-per-second': 'unlimited',
    'shell-auth-token-per-second': 'unlimited',
    'read-per-second': 'unlimited',
    'write-per-second': 'unlimited',
  },
  launchWhileUpdating: true,
  endpoint: {},
  sizes: {
    512: { baselineMib: 512, memoryMib: 512, vcpus: 1, diskMib: 8192 },
    2048: { baselineMib: 2048, memoryMib: 2048, vcpus: 1, diskMib: 8192 },
  },
};

export const imageRequest = {
  name: 'demo',
  baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
  buildRoleArn: 'arn:aws:iam::123456789012:role/build',
  codeArtifact: { uri: 's3://bucket/app.zip' },
  resources: [{ minimumMemoryInMiB: 512 }],
};

export interface TestApp extends AsyncDisposable {
  readonly app: App;
  readonly node: StubNode;
  readonly clock: ManualClock;
  readonly store: Store;
  readonly grants: TokenOrder[];
  /** What was asked to be taken back. The token `token of ID` is one of that MicroVM. */
  readonly revocations: string[];
  /** What the gateway is said to have counted. */
  readonly traffic: Traffic;
  readonly scrubber: StubScrubber;
  /** Another server on the same rows and host, as after a restart. */
  restart(): App;
  /** Launches a MicroVM of a ready-made image and waits until it has come to rest. */
  launch(input?: Partial<RunMicrovmRequest>): Promise<GetMicrovmResponse>;
  get(microvmId: string): Promise<GetMicrovmResponse>;
  /** A request, as the gateway counts it. */
  begin(microvmId: string): Activity;
  /** Waits until nothing is under way. */
  settle(): Promise<void>;
}

export async function testApp(
  limits: Partial<Limits> = {},
  lostVms: AppSettings['lostVms'] = 'end',
  lifecycle: Lifecycle = {},
): Promise<TestApp> {
  const [store, directory] = [await openStore(':memory:'), await mkdtemp(join(tmpdir(), 'waterbear-app-'))];
  const [node, clock, grants] = [new StubNode(), new ManualClock(), [] as TokenOrder[]];
  const settings = {
    region: 'us-east-1',
    version: '0.0.0',
    account: caller.account,
    limits: { ...testLimits, ...limits },
    hostSuffix: 'vm.localhost',
    archiveDirectory: join(directory, 'archives'),
    maxArchiveBytes: 1000,
    lostVms,
    parallelBuilds: 1,
    lifecycle,
  };
  const objects = stubObjects(caller.account, { bucket: { 'app.zip': 'zip', 'large.zip': 'x'.repeat(1001) } });
  const mintToken = async (order: TokenOrder): Promise<string> => `token-${grants.push(order)}`;
  const [revocations, traffic] = [[] as string[], newTraffic()];
  const revoker = stubRevoker(revocations);
  const scrubber = stubScrubber();
  const make = (): App =>
    createApp({
      ...{ db: store.db, node, objects, clock, log: silentLog, settings, mintToken },
      ...{ tokens: revoker, scrubber, traffic: async () => traffic },
    });
  let app = make();
  await app.start();
  const settle = async (): Promise<void> => {
    await app.context.builds.idle();
    await app.context.deletions.idle();
    await app.context.connectors.idle();
    await app.context.tidying.idle();
    for (const vm of app.context.index.all()) await vm.worker;
  };
  const get = (microvmId: string): Promise<GetMicrovmResponse> =>
    getMicrovm(app.context, caller, { microvmIdentifier: microvmId });
  return {
    app,
    node,
    clock,
    store,
    grants,
    revocations,
    traffic,
    scrubber,
    restart: () => {
      app = make();
      return app;
    },
    async launch(input = {}) {
      await createMicrovmImage(app.context, caller, { ...imageRequest, hooks: allHooks, clientToken: 'image' });
      await settle();
      const { microvmId } = await runMicrovm(app.context, caller, { imageIdentifier: demoArn, ...input });
      await settle();
      return get(microvmId);
    },
    get,
    begin(microvmId) {
      const { signs } = app.context.index.get(microvmId) ?? { signs: new Signs() };
      const endIsActivity = app.context.settings.limits.idleSignals.requests;
      return signs.begin({ index: 0, clock, endIsActivity });
    },
    settle,
    async [Symbol.asyncDispose]() {
      await app.close();
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
}

export const stubRevoker = (asked: string[]): TokenRevoker => ({
  claimsOf: async (token) => {
    const [, microvmId] = /^token of (.*)$/.exec(token) ?? [];
    return microvmId === undefined ? undefined : { microvmId, ports: 'all', exp: 7, jti: 'its-id', sequence: 0 };
  },
  revokeToken: async (...one) => void asked.push(one.join(' ')),
  revokeMicrovm: async (microvmId) => void asked.push(`all of ${microvmId}`),
  revokeEverything: async () => void asked.push('everything'),
  rotateKeys: async () => void asked.push('new key'),
});

const allHooks = {
  port: 9000,
  microvmImageHooks: { ready: 'ENABLED' },
  microvmHooks: { run: 'ENABLED', suspend: 'ENABLED', suspendTimeoutInSeconds: 7 },
};
