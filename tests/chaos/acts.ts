// The acts: asked as a client asks, noted before they are sent and when they are answered. Each resolves when it is over or can no longer be known.
import { askServer } from '../../cli/server-api.ts';
import { addMark } from './guest.ts';
import { acknowledged, arrived, asked, type Place, type VmEntry } from './ledger.ts';
import type { ActKind, PlannedAct } from './plan.ts';
import { bucket, type ImageEntry, until, type World } from './world.ts';

const idlePolicy = { maxIdleDurationSeconds: 36_000, suspendedDurationSeconds: 36_000, autoResumeEnabled: true };
const tokenMinutes = 10_000;

/** Sends it and stays with it until it is over. Errors after a kill mean nothing; others do. */
export async function perform(world: World, act: PlannedAct): Promise<void> {
  const { signal } = world.killed;
  world.underway.add(act);
  const order: Record<ActKind, () => Promise<unknown>> = {
    build: () => build(world, signal),
    launch: () => launch(world, world.newVm(act.place ?? 0), signal),
    suspend: () => suspend(world, world.entry(act.place), signal),
    resume: () => resume(world, world.entry(act.place), act.byRequest ?? false, signal),
    terminate: () => terminate(world, world.entry(act.place), signal),
    gc: () => collect(world, signal),
  };
  try {
    await order[act.kind]();
    world.underway.delete(act);
  } catch (error) {
    const isStruck = act.place !== undefined && world.entry(act.place).disturbed;
    if (signal.aborted || world.isDying || isStruck) return;
    world.underway.delete(act);
    if (!world.mayFail) world.findings.add('broken', `${act.kind} failed while the server lived: ${error}`);
  }
}

export const stateOf = async (world: World, entry: VmEntry) => world.lambda.getMicrovm({ microvmIdentifier: entry.id });

async function arrives(world: World, entry: VmEntry, goal: Place, signal?: AbortSignal): Promise<void> {
  const state = await until(
    `${entry.id} becoming ${goal}`,
    async () => {
      const found = await stateOf(world, entry);
      return found.state === goal || found.state === 'TERMINATED' ? found : undefined;
    },
    signal ? { signal } : {},
  );
  if (state.state !== goal) throw new Error(`${entry.id} ended: ${state.stateReason}`);
  arrived(entry, goal);
}

/** Also asks again for a launch that was in doubt: its token makes it the same one. */
export async function askLaunch(world: World, entry: VmEntry): Promise<void> {
  asked(entry, 'RUNNING');
  const { clientToken } = entry;
  const run = await world.lambda.runMicrovm({ imageIdentifier: world.baseArn, clientToken, idlePolicy });
  entry.id = run.microvmId ?? '';
  entry.endpoint = run.endpoint ?? '';
  acknowledged(entry, 'RUNNING');
}

/** A token for its endpoint, where it has none yet. */
export async function authorize(world: World, entry: VmEntry): Promise<void> {
  if (Object.keys(entry.token).length > 0) return;
  const order = { microvmIdentifier: entry.id, expirationInMinutes: tokenMinutes, allowedPorts: [{ port: 8080 }] };
  entry.token = (await world.lambda.createMicrovmAuthToken(order)).authToken ?? {};
}

export async function launch(world: World, entry: VmEntry, signal?: AbortSignal): Promise<void> {
  await askLaunch(world, entry);
  await authorize(world, entry);
  await arrives(world, entry, 'RUNNING', signal);
}

export async function suspend(world: World, entry: VmEntry, signal?: AbortSignal): Promise<void> {
  asked(entry, 'SUSPENDED');
  await world.lambda.suspendMicrovm({ microvmIdentifier: entry.id });
  acknowledged(entry, 'SUSPENDED');
  await arrives(world, entry, 'SUSPENDED', signal);
  if (!entry.strike) entry.sleeps += 1;
}

export async function resume(world: World, entry: VmEntry, byRequest: boolean, signal?: AbortSignal): Promise<void> {
  asked(entry, 'RUNNING');
  if (byRequest) {
    await addMark(world.running.ca, entry, world.nextMark(), signal);
  } else {
    await world.lambda.resumeMicrovm({ microvmIdentifier: entry.id });
    acknowledged(entry, 'RUNNING');
  }
  await arrives(world, entry, 'RUNNING', signal);
}

export async function terminate(world: World, entry: VmEntry, signal?: AbortSignal): Promise<void> {
  asked(entry, 'TERMINATED');
  await world.lambda.terminateMicrovm({ microvmIdentifier: entry.id });
  acknowledged(entry, 'TERMINATED');
  await arrives(world, entry, 'TERMINATED', signal);
}

export async function askBuild(world: World, image: ImageEntry): Promise<void> {
  const key = `${image.name}.zip`;
  await world.s3.putObject({ Bucket: bucket, Key: key, Body: world.archive });
  const { imageArn = '' } = await world.lambda.createMicrovmImage({
    name: image.name,
    clientToken: image.clientToken,
    baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
    buildRoleArn: 'arn:aws:iam::000000000000:role/build',
    codeArtifact: { uri: `s3://${bucket}/${key}` },
    resources: [{ minimumMemoryInMiB: 512 }],
  });
  image.imageArn = imageArn;
  image.acknowledged = true;
}

/** Resolves with how the build ended; undefined while it goes on. */
export async function buildEnd(world: World, image: ImageEntry): Promise<'SUCCESSFUL' | 'FAILED' | undefined> {
  const where = { imageIdentifier: image.imageArn, imageVersion: '1.0' };
  const { state } = await world.lambda.getMicrovmImageVersion(where);
  if (state !== 'SUCCESSFUL' && state !== 'FAILED') return undefined;
  image.end = state;
  return state;
}

export function newImage(world: World, name: string): ImageEntry {
  const clientToken = `chaos-${world.seed}-${name}`;
  const image: ImageEntry = { name, clientToken, imageArn: '', acknowledged: false, interrupted: 0, deletion: 'no' };
  world.images.push(image);
  return image;
}

async function build(world: World, signal: AbortSignal): Promise<void> {
  const image = newImage(world, `chaos-${world.images.length}`);
  await askBuild(world, image);
  await until(`the build of ${image.name}`, () => buildEnd(world, image), { signal, ms: 600_000, everyMs: 100 });
}

/** Deletes the oldest image that nothing needs, and has the server look for garbage. */
async function collect(world: World, signal: AbortSignal): Promise<void> {
  const image = world.images.find(
    ({ end, deletion, imageArn }) =>
      end !== undefined && end !== 'GONE' && deletion === 'no' && imageArn !== world.baseArn,
  );
  const deleting = image ? deleteImage(world, image, signal) : undefined;
  // Both at the same time; neither may be left alone when the other fails.
  for (const result of await Promise.allSettled([deleting, collectGarbage(world)])) {
    if (result.status === 'rejected') throw result.reason;
  }
}

async function deleteImage(world: World, image: ImageEntry, signal: AbortSignal): Promise<void> {
  image.deletion = 'asked';
  await world.lambda.deleteMicrovmImage({ imageIdentifier: image.imageArn });
  image.deletion = 'acknowledged';
  await until(`the deletion of ${image.name}`, () => imageGone(world, image), { signal });
}

/** True once the API does not know it any more. A deletion that failed, where such things may be, is asked for again. */
export async function imageGone(world: World, image: ImageEntry): Promise<true | undefined> {
  const which = { imageIdentifier: image.imageArn };
  try {
    const { state } = await world.lambda.getMicrovmImage(which);
    if (state === 'DELETE_FAILED' && world.mayFail) await world.lambda.deleteMicrovmImage(which);
    return undefined;
  } catch (error) {
    if ((error as Error).name !== 'ResourceNotFoundException') throw error;
    image.end = 'GONE';
    return true;
  }
}

async function collectGarbage(world: World): Promise<void> {
  const { facts } = world.running;
  await world.steady();
  await askServer(facts, '/waterbear/v1/gc', { dryRun: false }, Date.now() + world.clockOffset());
}

/** Two small things beside MicroVMs that are acknowledged: a tag and an object. */
export async function writeSmall(world: World): Promise<void> {
  world.small.asked += 1;
  const value = world.small.asked;
  await world.lambda.tagResource({ Resource: world.baseArn, Tags: { chaos: String(value) } });
  world.small.tag = value;
  await world.s3.putObject({ Bucket: bucket, Key: 'small', Body: String(value) });
  world.small.object = value;
}
