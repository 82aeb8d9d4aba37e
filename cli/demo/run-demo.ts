// Puts the demo together: a server if none is named, the story, the clean-up, the last line.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from '../../src/lib/errors.ts';
import { explain } from '../explain.ts';
import type { Paint, Surroundings } from '../surroundings.ts';
import { serverAdditions } from './additions.ts';
import { type OwnServer, startOwnServer } from './own-server.ts';
import { packProject } from './project.ts';
import { buildImage, launchOne, type Scene, sleepAndWake, suspendAndResume, useBoth } from './story.ts';
import { openTarget, type Target, type TargetFacts } from './target.ts';
import { createTimeline, formatSeconds, type Timeline } from './timeline.ts';
import { removeArtifacts, type Traces, terminateAll } from './traces.ts';

export interface DemoOptions {
  accel: string;
  json: boolean;
  /** A server that runs already; absent: the demo starts one of its own. */
  existing: TargetFacts | undefined;
}

interface Report {
  ok: boolean;
  error?: string;
  image?: string;
  microvms: string[];
  accelerator?: string;
}

const cleanUpMs = 60_000;

/** Resolves with the exit code. `asked` fires when the user wants to stop: everything is cleaned up then, too. */
export async function runDemo(
  options: DemoOptions,
  around: Surroundings,
  paint: Paint,
  asked: AbortSignal,
): Promise<number> {
  const timeline = createTimeline(around.out, paint, () => performance.now());
  const report: Report = { ok: false, microvms: [] };
  try {
    await perform(options, around, { timeline, report, asked });
    report.ok = true;
    const total = formatSeconds(timeline.totalMs());
    around.out.write(`\n${paint.green('✓')} ${paint.bold(`All of it worked, in ${total}.`)}\n`);
  } catch (error) {
    report.error = asked.aborted ? 'stopped' : describe(error);
    const debug = Boolean(around.env.WATERBEAR_DEBUG);
    around.err.write(asked.aborted ? '\nStopped.\n' : `\n${explain(error, debug)}\n`);
  }
  if (options.json) {
    const { stages, totalMs } = { stages: timeline.stages(), totalMs: timeline.totalMs() };
    around.out.write(`${JSON.stringify({ ...report, stages, totalMs })}\n`);
  }
  if (report.ok) return 0;
  return asked.aborted ? 130 : 1;
}

interface Performance {
  timeline: Timeline;
  report: Report;
  asked: AbortSignal;
}

async function perform(options: DemoOptions, around: Surroundings, stagehands: Performance): Promise<void> {
  const { timeline, report, asked } = stagehands;
  const traces: Traces = { suffix: randomBytes(4).toString('hex') };
  let own: OwnServer | undefined;
  let target: Target | undefined;
  timeline.heading('Waterbear demo: a Python session that sleeps and wakes');
  try {
    own = options.existing ? undefined : await startServer(options, around, timeline);
    target = openTarget(options.existing ?? (await ownTarget(own)));
    const scene: Scene = { target, timeline, traces, signal: asked };
    report.accelerator = (await serverAdditions(target))?.accelerator ?? 'unknown';
    await play(scene, report, around.repositoryDirectory);
  } finally {
    await cleanUp({ target, own, traces, timeline });
  }
}

async function play(scene: Scene, report: Report, repositoryDirectory: string): Promise<void> {
  const { timeline } = scene;
  const project = await packProject(join(repositoryDirectory, 'examples', 'code-interpreter'));
  const image = await buildImage(scene, project);
  report.image = `${image.imageArn}:${image.imageVersion}`;
  const a = await launchOne(scene, image, { id: 'launchA', name: 'A', sleepy: true });
  report.microvms.push(a.microvmId);
  const b = await launchOne(scene, image, { id: 'launchB', name: 'B', sleepy: false });
  report.microvms.push(b.microvmId);
  await useBoth(scene, a, b);
  await sleepAndWake(scene, a);
  await suspendAndResume(scene, b);
  await timeline.stage('terminate', 'Terminate both', async (notes) => {
    await terminateAll(scene.target, scene.traces, scene.signal);
    notes.result('TERMINATED');
  });
}

function startServer(options: DemoOptions, around: Surroundings, timeline: Timeline): Promise<OwnServer> {
  return timeline.stage('server', 'Start a server', async (notes) => {
    const own = await startOwnServer(around, { accel: options.accel });
    notes.result(`${own.facts.apiUrl}, data in ${own.dataDirectory}`);
    return own;
  });
}

async function ownTarget(own: OwnServer | undefined): Promise<TargetFacts> {
  if (own === undefined) throw new TypeError('a server was to be started');
  const { apiUrl, s3Url, region, accessKeyId, secretAccessKey, caFile } = own.facts;
  return { apiUrl, s3Url, region, credentials: { accessKeyId, secretAccessKey }, ca: await readFile(caFile, 'utf8') };
}

/** Never with the user's signal: what was begun is ended, within a deadline of its own. */
async function cleanUp(left: {
  target: Target | undefined;
  own: OwnServer | undefined;
  traces: Traces;
  timeline: Timeline;
}): Promise<void> {
  const { target, own, traces, timeline } = left;
  if (target === undefined && own === undefined) return;
  await timeline.stage('cleanup', 'Clean up', async (notes) => {
    const signal = AbortSignal.timeout(cleanUpMs);
    try {
      // A server of our own takes everything with it; elsewhere a MicroVM that does not end is worth knowing.
      const ended = target ? await terminateAll(target, traces, signal).then(good, bad) : true;
      if (target && !own) {
        const remaining = [
          ...(ended ? [] : ['MicroVMs of the image']),
          ...(await removeArtifacts(target, traces, signal)),
        ];
        notes.result(remaining.length === 0 ? 'nothing is left' : 'not everything could be removed');
        for (const what of remaining) notes.below(`left: ${what}`);
      }
    } finally {
      target?.destroy();
      await own?.stop();
    }
    if (own) notes.result('server stopped, its data removed');
  });
}

const good = (): boolean => true;
const bad = (): boolean => false;
