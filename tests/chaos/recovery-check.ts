// After a restart: is everything there that was acknowledged, does everything go on that lived, and is nothing left of what did not?
import { pause } from '../../src/lib/deadline.ts';
import { askBuild, askLaunch, authorize, buildEnd, imageGone, stateOf } from './acts.ts';
import { readRows } from './database.ts';
import { hostMs, readState } from './guest.ts';
import { judgeLeaks } from './leaks.ts';
import { is, judgeGuest, mayBe, type Place, seen, type VmEntry } from './ledger.ts';
import { lookAround } from './machine.ts';
import { type HostTicks, judgeTicks } from './ticks.ts';
import { judgeUsage } from './usage.ts';
import { bucket, type ImageEntry, until, type World } from './world.ts';

/** Recovery goes on behind open ports; after so long it must be over. */
const settleMs = 60_000;
const leakSettleMs = 20_000;
const clockLimitMs = 2_000;

export interface Checked {
  /** From the opening of the ports until the first MicroVM that had run answered; undefined when none did. */
  firstAnswerMs: number | undefined;
  /** Until everything was where it must be. */
  settledMs: number;
}

/** Finds what is wrong and says so in `world.findings`. */
export async function checkRecovery(world: World, host: HostTicks): Promise<Checked> {
  const openMs = hostMs();
  const living = world.all.filter((entry) => entry.proven && is(entry, 'RUNNING') && !entry.disturbed);
  let firstAnswerMs: number | undefined;
  await Promise.all(
    living.map(async (entry) => {
      // The first request after the ports are open is answered, without a second attempt.
      if (!(await checkGuest(world, entry, host, 'its first request after the ports were open'))) return;
      firstAnswerMs = Math.min(firstAnswerMs ?? Number.POSITIVE_INFINITY, hostMs() - openMs);
    }),
  );
  await Promise.all(world.all.filter(({ id }) => id === '').map((entry) => recoverLaunch(world, entry)));
  await Promise.all(world.all.filter(({ id }) => id !== '').map((entry) => checkVm(world, entry, host, living)));
  await Promise.all([checkLists(world), checkSmall(world), ...world.images.map((image) => checkImage(world, image))]);
  const settledMs = hostMs() - openMs;
  checkUsage(world);
  for (const entry of world.all) Object.assign(entry, { disturbed: false, struck: false });
  return { firstAnswerMs, settledMs };
}

const lost = (world: World, what: string): void => world.findings.add('lost', what);

/** A launch that nobody answered is asked for again by its token. */
async function recoverLaunch(world: World, entry: VmEntry): Promise<void> {
  if (!mayBe(entry, 'RUNNING')) return;
  try {
    await until('a launch after the restart', () => askLaunch(world, entry).then(() => true), { ms: 5_000 });
  } catch (error) {
    lost(world, `a launch cannot be repeated with its token: ${error}`);
    entry.mayBe = ['none'];
  }
}

async function checkVm(world: World, entry: VmEntry, host: HostTicks, asked: readonly VmEntry[]): Promise<void> {
  if (entry.closed) return;
  const found = await settled(world, entry);
  if (!found) return;
  const { state, stateReason } = found;
  seen(entry, state);
  if (state === 'TERMINATED') {
    if (!stateReason) lost(world, `${entry.id} is TERMINATED without a reason`);
    await checkSilence(world, entry);
    entry.closed = true;
    return;
  }
  if (asked.includes(entry)) return;
  const slept = state === 'SUSPENDED';
  await checkGuest(world, entry, host, slept ? 'a request that wakes it' : 'a request');
}

/** Where it comes to rest. Says so when that is not where it must be. */
async function settled(
  world: World,
  entry: VmEntry,
): Promise<{ state: Place; stateReason: string | undefined } | undefined> {
  const allowed = new Set<string | undefined>(entry.mayBe);
  let last = '';
  try {
    return await until(
      `${entry.id} settling`,
      async () => {
        const { state, stateReason } = await stateOf(world, entry);
        last = `${state}${stateReason ? ` (${stateReason})` : ''}`;
        const isThere = allowed.has(state) || (world.mayFail && isExcused(entry, state, stateReason));
        if (isThere) return { state: state as Place, stateReason };
        if (state !== 'TERMINATED') return undefined;
        lost(world, `${entry.id} must be ${entry.mayBe.join(' or ')} and is ${last}`);
        return { state: 'TERMINATED' as const, stateReason };
      },
      { ms: settleMs, everyMs: 50 },
    );
  } catch (error) {
    const why = last ? `stays ${last}` : `cannot be asked: ${error}`;
    lost(world, `${entry.id} must be ${entry.mayBe.join(' or ')} and ${why}`);
    return undefined;
  }
}

/** Where acts may fail, an act that was acknowledged may come to nothing and say why; what had lived goes on. */
function isExcused(entry: VmEntry, state: string | undefined, reason: string | undefined): boolean {
  if (!reason) return false;
  return state === 'TERMINATED' ? !entry.proven : state === 'RUNNING' || state === 'SUSPENDED';
}

/** Asks for its state, which wakes it, and judges that. False when it did not answer. */
async function checkGuest(world: World, entry: VmEntry, host: HostTicks, what: string): Promise<boolean> {
  const say = (sentence: string): void => lost(world, `${entry.id}: ${sentence}`);
  try {
    await authorize(world, entry);
    const [askedMs, askedWallMs] = [hostMs(), Date.now() + world.clockOffset()];
    const state = await readState(world.running.ca, entry);
    const [answeredMs, answeredWallMs] = [hostMs(), Date.now() + world.clockOffset()];
    for (const sentence of judgeGuest(entry, state)) say(sentence);
    const broken = (sentence: string): void => world.findings.add('broken', `${entry.id}: ${sentence}`);
    if (is(entry, 'RUNNING')) {
      for (const sentence of judgeTicks(entry, state, { askedMs, answeredMs }, host)) broken(sentence);
    } else if (state.wallMs < askedWallMs - clockLimitMs || state.wallMs > answeredWallMs + clockLimitMs) {
      // A guest gets the server's time when it wakes; one that runs on keeps its own.
      broken(`its clock is ${Math.round(state.wallMs - answeredWallMs)} ms off after waking`);
    }
    entry.seen = { askedMs, answeredMs, guestMs: state.monotonicMs };
    seen(entry, 'RUNNING');
    return true;
  } catch (error) {
    say(`${what} was not answered: ${error}`);
    return false;
  }
}

/** What was ended never serves again. */
async function checkSilence(world: World, entry: VmEntry): Promise<void> {
  if (Object.keys(entry.token).length === 0) return;
  const answered = await readState(world.running.ca, entry).then(
    () => true,
    () => false,
  );
  if (answered) lost(world, `${entry.id} is TERMINATED and still serves`);
}

async function checkLists(world: World): Promise<void> {
  const listed = new Map<string, string | undefined>();
  let nextToken: string | undefined;
  do {
    const page = await world.lambda.listMicrovms({ maxResults: 50, ...(nextToken ? { nextToken } : {}) });
    for (const { microvmId = '', state } of page.items ?? []) listed.set(microvmId, state);
    nextToken = page.nextToken ?? undefined;
  } while (nextToken);
  const known = new Set(world.all.map(({ id }) => id));
  for (const id of listed.keys()) {
    if (!known.has(id)) world.findings.add('leaked', `ListMicrovms has ${id}, which nobody launched`);
  }
  for (const entry of world.all) {
    if ((mayBe(entry, 'RUNNING') || mayBe(entry, 'SUSPENDED')) && entry.id && !listed.has(entry.id)) {
      lost(world, `ListMicrovms has lost ${entry.id}`);
    }
  }
}

async function checkSmall(world: World): Promise<void> {
  const { asked, tag, object } = world.small;
  const fits = (value: number, acknowledged: number): boolean => value >= acknowledged && value <= asked;
  const { Tags = {} } = await world.lambda.listTags({ Resource: world.baseArn });
  if (!fits(Number(Tags.chaos ?? 0), tag)) lost(world, `the tag is ${Tags.chaos}, ${tag} was acknowledged`);
  if (object === 0) return;
  const body = await world.s3
    .getObject({ Bucket: bucket, Key: 'small' })
    .then((answer) => answer.Body?.transformToString())
    .catch((error: unknown) => String(error));
  if (!fits(Number(body), object)) lost(world, `the object holds ${body}, ${object} was acknowledged`);
}

async function checkImage(world: World, image: ImageEntry): Promise<void> {
  if (image.end === 'GONE') return;
  try {
    if (!image.acknowledged) await askBuild(world, image);
    if (image.deletion === 'acknowledged') {
      await until(`the deletion of ${image.name}`, () => imageGone(world, image), { ms: settleMs });
      return;
    }
    // A deletion that nobody acknowledged may have happened.
    if (image.deletion === 'asked' && (await imageGone(world, image))) return;
    if (image.deletion === 'asked') image.deletion = 'no';
    await checkBuild(world, image);
  } catch (error) {
    lost(world, `image ${image.name}: ${error}`);
  }
}

/** How often a build is begun again before it counts as one that kills its server. */
const buildAttempts = 3;

async function checkBuild(world: World, image: ImageEntry): Promise<void> {
  if (image.end !== undefined || (await buildEnd(world, image)) !== 'FAILED') return;
  const builds = await world.lambda.listMicrovmImageBuilds({ imageIdentifier: image.imageArn, imageVersion: '1.0' });
  const reason = builds.items?.[0]?.stateReason;
  if (!reason) lost(world, `the build of ${image.name} FAILED without a reason`);
  if (image.interrupted < buildAttempts && !world.mayFail) {
    lost(world, `the build of ${image.name} FAILED after ${image.interrupted} interruptions: ${reason}`);
  }
}

function checkUsage(world: World): void {
  const sleeps = new Map(world.all.map((entry) => [entry.id, entry.sleeps]));
  const rows = readRows(`${world.place.data}/waterbear.db`);
  for (const what of judgeUsage(rows, sleeps, world.clockSteps)) lost(world, what);
  const states = new Map(rows.vms.map(({ microvmId, state }) => [microvmId, state]));
  for (const entry of world.all.filter((one) => one.id !== '' && is(one, 'TERMINATED'))) {
    const state = states.get(entry.id);
    if (state !== 'TERMINATED') lost(world, `${entry.id} was TERMINATED and is ${state ?? 'gone'}`);
  }
}

/** Waits for what is still being cleaned up; what then is left of nobody is a leak. */
export async function checkLeaks(world: World): Promise<void> {
  const { data } = world.place;
  const end = hostMs() + leakSettleMs;
  for (;;) {
    const ours = [process.pid, world.running.pid];
    const before = readRows(`${data}/waterbear.db`);
    const machine = await lookAround(data, ours);
    const wrong = await judgeLeaks(machine, before, data);
    if (wrong?.length === 0) return;
    if (hostMs() > end) {
      for (const what of wrong ?? ['something is on its way for ever']) world.findings.add('leaked', what);
      return;
    }
    await pause(100);
  }
}
