// One round: everybody to his place, acts and requests, a kill in the middle, a restart, a look at what is left.
import { pause } from '../../src/lib/deadline.ts';
import { vmmsOf } from '../support/vmms.ts';
import { launch, perform, resume, stateOf, suspend, terminate, writeSmall } from './acts.ts';
import type { FaultKit } from './faults.ts';
import { addMark, hostMs } from './guest.ts';
import { is, mayBe, type VmEntry } from './ledger.ts';
import type { ActKind, Round } from './plan.ts';
import { type Checked, checkLeaks, checkRecovery } from './recovery-check.ts';
import { startProcess } from './server-process.ts';
import { type Blow, struck } from './strike.ts';
import { type HostTicks, tickMs } from './ticks.ts';
import { countActs, until, type World } from './world.ts';

export interface RoundTools {
  world: World;
  host: HostTicks;
  fault: FaultKit;
  lostVms: 'end' | 'restore';
}

export interface RoundReport extends Checked {
  underway: Record<ActKind, number>;
  victim: string;
  /** From the start of the server until both ports took connections; undefined when it was not killed. */
  openMs: number | undefined;
  /** From the death of a VMM until its MicroVM was known not to run; undefined when none was killed alone. */
  noticedMs: number | undefined;
  states: Record<'running' | 'asleep' | 'ended', number>;
}

/** A VMM's death is noticed within a second; a busy machine may take as much longer as it lets processes wait. */
const noticeMs = 1000;
const busyTimes = 4;
/** Where calls may fail, they succeed when they are repeated. */
const faultyTries = 8;
const requestPauseMs = 60;

/** The victim of a round in which there was no VMM. */
export const nobody = 'nobody';

export async function playRound(tools: RoundTools, round: Round): Promise<RoundReport> {
  const { world } = tools;
  world.killed = new AbortController();
  await prepare(world, round);
  const startedMs = hostMs();
  const at = (ms: number): Promise<void> => pause(Math.max(0, startedMs + ms - hostMs()));
  const acts = round.acts.map((act) => at(act.atMs).then(() => perform(world, act)));
  const load = [...round.busy.map((place) => keepAsking(world, world.entry(place))), writeSmall(world).catch(() => {})];
  const faulty = tools.fault.begin?.(round, at);
  await at(round.killAtMs);
  const underway = countActs(world.underway);
  const report = await strike(tools, round);
  world.killed.abort();
  world.isDying = false;
  await Promise.all([...acts, ...load, faulty]);
  world.underway.clear();
  const openMs = report.serverDied ? await restart(tools, round) : undefined;
  await tools.fault.end?.(round);
  const checked = await checkRecovery(world, tools.host);
  await checkLeaks(world);
  const count = (state: 'RUNNING' | 'SUSPENDED' | 'TERMINATED'): number =>
    world.all.filter((entry) => is(entry, state)).length;
  const states = { running: count('RUNNING'), asleep: count('SUSPENDED'), ended: count('TERMINATED') };
  return { ...checked, underway, victim: report.victim, noticedMs: report.noticedMs, openMs, states };
}

/** Brings each MicroVM where the round wants it to be, and makes sure that it was heard of just before. */
async function prepare(world: World, round: Round): Promise<void> {
  await Promise.all(
    world.places.map(async (_, place) => {
      for (let tries = 1; ; tries++) {
        try {
          return await preparePlace(world, round, place);
        } catch (error) {
          if (world.mayFail && tries < faultyTries) await pause(tries * 200);
          else return world.findings.add('broken', `place ${place} could not be made ready: ${error}`);
        }
      }
    }),
  );
}

async function preparePlace(world: World, round: Round, place: number): Promise<void> {
  const entry = world.entry(place);
  const lives = mayBe(entry, 'RUNNING') || mayBe(entry, 'SUSPENDED');
  if (round.empty.includes(place)) return lives ? terminate(world, entry) : undefined;
  const wanted = lives ? entry : world.newVm(place);
  if (!lives) await launch(world, wanted);
  if (!is(wanted, 'RUNNING')) await resume(world, wanted, false);
  await addMark(world.running.ca, wanted, world.nextMark());
  if (round.asleep.includes(place)) await suspend(world, wanted);
}

/** One increment after the other, until the kill. */
async function keepAsking(world: World, entry: VmEntry): Promise<void> {
  const { signal } = world.killed;
  try {
    while (!signal.aborted) {
      await addMark(world.running.ca, entry, world.nextMark(), signal);
      await pause(requestPauseMs);
    }
  } catch (error) {
    // What breaks with the kill is in doubt; before it, nothing may break.
    if (signal.aborted || world.isDying || world.mayFail || entry.disturbed) return;
    world.findings.add('broken', `a request failed while the server lived: ${error}`);
  }
}

interface Strike {
  victim: string;
  serverDied: boolean;
  noticedMs: number | undefined;
}

async function strike(tools: RoundTools, round: Round): Promise<Strike> {
  const { world, fault, lostVms } = tools;
  if (round.victim === 'vmm') return strikeVmm(tools, round);
  world.isDying = true;
  await world.running.kill('SIGKILL');
  for (const image of world.images) if (image.end === undefined && image.acknowledged) image.interrupted += 1;
  for (const entry of world.places) if (actOn(world, entry)) entry.disturbed = true;
  await fault.afterKill?.(world.place.data);
  // Whoever kills more than the server strikes every MicroVM.
  const blow = { policy: lostVms, with: 'host' } as const;
  if (fault.name === 'reboot')
    for (const entry of world.places) struck(entry, { ...blow, act: actOn(world, entry), requests: false });
  if (round.victim === 'server and vmm') {
    const killed = killVmm(world, round, blow);
    if (killed) return { victim: `server and VMM of place ${killed.place}`, serverDied: true, noticedMs: undefined };
  }
  return { victim: fault.name === 'reboot' ? 'host' : 'server', serverDied: true, noticedMs: undefined };
}

/** Kills the VMM of the place that the plan names, or of the next one that has any. Undefined when none has. */
function killVmm(world: World, round: Round, blow: Pick<Blow, 'policy' | 'with'>) {
  const places = world.places.map((_, i) => (round.victimPlace + i) % world.places.length);
  const vmms = places.flatMap((place) => vmmOf(world, world.entry(place)).map((pid) => ({ place, pid })));
  const killedMs = hostMs();
  const found = vmms.find(({ pid }) => killIfThere(pid));
  if (!found) return undefined;
  const { place, pid } = found;
  const entry = world.entry(place);
  const wasRunning = is(entry, 'RUNNING');
  const requests = blow.with === 'VMM' && round.busy.includes(place);
  struck(entry, { ...blow, act: actOn(world, entry), requests });
  return { place, pid, entry, wasRunning, killedMs };
}

async function strikeVmm({ world, host, lostVms }: RoundTools, round: Round): Promise<Strike> {
  const killed = killVmm(world, round, { policy: lostVms, with: 'VMM' });
  if (!killed) return { victim: nobody, serverDied: false, noticedMs: undefined };
  const { place, pid, entry, wasRunning, killedMs } = killed;
  const victim = `VMM of place ${place}`;
  if (!wasRunning) return { victim, serverDied: false, noticedMs: undefined };
  // Requests that never cease may have woken it again before anybody looks.
  const isNoticed = async (): Promise<true | undefined> =>
    (await stateOf(world, entry)).state !== 'RUNNING' ||
    vmmOf(world, entry).some((other) => other !== pid) ||
    undefined;
  await until('the notice of a dead VMM', isNoticed, { everyMs: 10 });
  const noticedMs = hostMs() - killedMs;
  if (noticedMs > noticeMs + busyTimes * (host.worst(killedMs, hostMs()) - tickMs)) {
    world.findings.add('broken', `the death of the VMM of ${entry.id} was noticed after ${Math.round(noticedMs)} ms`);
  }
  return { victim, serverDied: false, noticedMs };
}

/** False for one that has ended since it was looked for. */
function killIfThere(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}

/** What happens to it. */
const actOn = (world: World, entry: VmEntry): ActKind | undefined =>
  [...world.underway].find(({ place }) => place !== undefined && world.entry(place) === entry)?.kind;

const vmmOf = (world: World, entry: VmEntry): number[] =>
  entry.id === '' ? [] : vmmsOf(world.place.data, entry.id).map(Number);

async function restart(tools: RoundTools, round: Round): Promise<number> {
  await pause(round.downMs);
  await startServer(tools, round);
  return tools.world.running.openMs;
}

/** With a fault it may fail to start, but not for ever. */
export async function startServer({ world, fault, lostVms }: RoundTools, round?: Round): Promise<void> {
  const policy = lostVms === 'restore' ? ['--lost-vms', 'restore'] : [];
  for (let tries = 1; ; tries++) {
    const args = ['--build-isolation', round?.buildIsolation ?? 'host', ...policy, ...(fault.serverArguments ?? [])];
    try {
      return world.connect(await startProcess(world.place, args, fault.environment?.(++world.starts)));
    } catch (error) {
      if (!world.mayFail || tries === faultyTries) throw error;
      await fault.failedStart?.();
    }
  }
}
