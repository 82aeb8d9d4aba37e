// A whole run: one server, one image, MicroVMs, as many rounds as there are kills, and at the end nothing but the data directory.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectZip } from '../support/real-node.ts';
import { askBuild, buildEnd, newImage, terminate } from './acts.ts';
import { checkEnd } from './end-check.ts';
import { Findings } from './findings.ts';
import { mayBe } from './ledger.ts';
import { openFault } from './open-fault.ts';
import { type Fault, makePlan, type Target } from './plan.ts';
import { clearMachine } from './reboot.ts';
import { checkRecovery } from './recovery-check.ts';
import { type ChaosReport, Tally } from './report.ts';
import { playRound, type RoundTools, startServer } from './round.ts';
import { freePorts } from './server-process.ts';
import { startHostTicks } from './ticks.ts';
import { baseImage, bucket, until, World } from './world.ts';

export interface ChaosOptions {
  seed: number;
  kills: number;
  /** MicroVMs that are there at once, four at least. */
  vms: number;
  target: Target;
  fault?: Fault;
  lostVms: 'end' | 'restore';
  /** One build in so many is made in a VM; 0: none. */
  vmBuildEvery: number;
  /** Leaves the data directory and the server's log behind. */
  keep?: boolean;
  say: (line: string) => void;
  /** Ends the run before its next round. */
  signal?: AbortSignal;
}

const buildMs = 600_000;

/** Resolves with what was found, in a run that could not go on, too. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const findings = new Findings();
  const tally = new Tally(options, findings);
  await withServer(options, findings, async (tools) => {
    for (const round of makePlan(options)) {
      options.signal?.throwIfAborted();
      findings.round = round.number + 1;
      options.say(tally.line(round, await playRound(tools, round)));
    }
    await finish(tools);
  });
  return tally.report();
}

/** Starts a server, builds an image, has `play` do what it likes with it, and takes everything away again. */
export async function withServer(
  options: ChaosOptions,
  findings: Findings,
  play: (tools: RoundTools) => Promise<void>,
): Promise<void> {
  const { seed, vms, say, lostVms } = options;
  const scratch = await mkdtemp(join(tmpdir(), 'waterbear-chaos-'));
  const fault = await openFault(options.fault, scratch, seed);
  const data = join(fault.directory ?? scratch, 'data');
  await mkdir(data);
  const place = { data, log: join(scratch, 'server.log'), ...(await freePorts()) };
  const mayFail = options.fault === 'eio' || options.fault === 'disk-full';
  const world = new World({ seed, vms, mayFail, clockSteps: options.fault === 'clock', place, findings });
  world.clockOffset = fault.clockOffset ?? world.clockOffset;
  world.steady = fault.steady ?? world.steady;
  const host = await startHostTicks();
  const tools: RoundTools = { world, host, fault, lostVms };
  try {
    await setUp(tools);
    say(`image built; ${vms} MicroVMs, data in ${data}`);
    await play(tools);
  } catch (error) {
    // What stops the run is the worst finding of all.
    findings.add('broken', `the run could not go on: ${error instanceof Error ? error.stack : error}`);
  } finally {
    await host.stop();
    await world.server?.kill('SIGKILL');
    await clearMachine(data);
    await fault.close?.();
    if (!options.keep) await rm(scratch, { recursive: true, force: true });
  }
}

/** First start, bucket, image. */
async function setUp(tools: RoundTools): Promise<void> {
  const { world } = tools;
  await startServer(tools);
  world.archive = await projectZip('chaos');
  const tries = world.mayFail ? 8 : 1;
  await repeat(tries, () => world.s3.createBucket({ Bucket: bucket }));
  const image = newImage(world, baseImage);
  await repeat(tries, () => askBuild(world, image));
  const end = await until('the build of the image', () => buildEnd(world, image), { ms: buildMs, everyMs: 100 });
  if (end === 'FAILED') throw new Error(`The image was not built; see ${world.place.log}.`);
  world.baseArn = image.imageArn;
}

/** Builds that go on end, everything is verified once more and terminated, the server stops in order. */
export async function finish(tools: RoundTools): Promise<void> {
  const { world } = tools;
  for (const image of world.images.filter(({ end, acknowledged }) => end === undefined && acknowledged)) {
    await until(`the build of ${image.name}`, () => buildEnd(world, image), { ms: buildMs, everyMs: 100 });
  }
  await checkRecovery(world, tools.host);
  const living = world.all.filter((entry) => entry.id && (mayBe(entry, 'RUNNING') || mayBe(entry, 'SUSPENDED')));
  await Promise.all(living.map((entry) => repeat(world.mayFail ? 8 : 1, () => terminate(world, entry))));
  await checkEnd(world);
}

async function repeat<T>(tries: number, work: () => Promise<T>): Promise<T> {
  for (let left = tries - 1; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}
