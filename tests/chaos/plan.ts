// What a run will do, as a function of its seed alone: acts, their moments, and when who is killed.
import { type Random, seededRandom } from './random.ts';

export const actKinds = ['build', 'launch', 'suspend', 'resume', 'terminate', 'gc'] as const;
export type ActKind = (typeof actKinds)[number];

export const faults = ['disk-full', 'eio', 'clock', 'reboot'] as const;
export type Fault = (typeof faults)[number];
export const targets = ['server', 'vmm', 'both'] as const;
export type Target = (typeof targets)[number];

export interface PlannedAct {
  kind: ActKind;
  /** Which of the MicroVMs; acts on images have none. */
  place?: number;
  /** After the round's start. */
  atMs: number;
  /** A resume by a request to the endpoint instead of the call. */
  byRequest?: true;
}

export interface Round {
  number: number;
  /** Places whose MicroVM sleeps when the round starts; the others run. */
  asleep: number[];
  /** Places without a MicroVM when the round starts. */
  empty: number[];
  acts: PlannedAct[];
  /** Places that get requests all the time. */
  busy: number[];
  victim: 'server' | 'vmm' | 'server and vmm';
  /** Whose VMM is killed. */
  victimPlace: number;
  killAtMs: number;
  /** How long the server stays dead. */
  downMs: number;
  buildIsolation: 'host' | 'vm';
  /** When the fault begins, and how strong it is: what each makes of it is its own matter. */
  fault: { atMs: number; strength: number };
}

export interface PlanOptions {
  seed: number;
  kills: number;
  vms: number;
  target: Target;
  /** One build in so many is made in a VM; 0: none. */
  vmBuildEvery: number;
}

/** How long each act takes on a calm machine, about: a kill comes at a random moment of it. */
const lengthMs: Record<ActKind, number> = {
  build: 5000,
  launch: 500,
  suspend: 220,
  resume: 450,
  terminate: 150,
  gc: 120,
};
const shortestRoundMs = 250;

export function makePlan(options: PlanOptions): Round[] {
  const random = seededRandom(options.seed);
  let kinds: ActKind[] = [];
  let builds = 0;
  return Array.from({ length: options.kills }, (_, number) => {
    // Each kind comes as often as the others, in an order that nobody knows.
    if (kinds.length === 0) kinds = random.shuffled(actKinds);
    const kind = kinds.pop() as ActKind;
    if (kind === 'build') builds += 1;
    const isVmBuild = options.vmBuildEvery > 0 && kind === 'build' && builds % options.vmBuildEvery === 0;
    return { ...makeRound(random, options, kind), number, buildIsolation: isVmBuild ? 'vm' : 'host' };
  });
}

function makeRound(
  random: Random,
  { vms, target }: PlanOptions,
  kind: ActKind,
): Omit<Round, 'number' | 'buildIsolation'> {
  const places = random.shuffled(Array.from({ length: vms }, (_, place) => place));
  const perVm = (['launch', 'suspend', 'resume', 'terminate'] as const).filter((other) => other !== kind);
  const kinds = [kind, ...random.shuffled(perVm).slice(0, random.between(1, 2))];
  const aged = kinds.map((each) => ({ kind: each, ageMs: random.between(0, lengthMs[each]) }));
  const killAtMs = Math.max(shortestRoundMs, ...aged.map(({ ageMs }) => ageMs));
  const acts = aged.map(({ kind: each, ageMs }): PlannedAct => {
    const atMs = killAtMs - ageMs;
    if (each === 'build' || each === 'gc') return { kind: each, atMs };
    const place = places.pop() ?? 0;
    return { kind: each, place, atMs, ...(each === 'resume' && random.next() < 0.5 ? { byRequest: true } : {}) };
  });
  const placesOf = (...wanted: ActKind[]): number[] =>
    acts.flatMap(({ kind: each, place }) => (place !== undefined && wanted.includes(each) ? [place] : []));
  // A MicroVM that is to be ended may sleep or run; of those that nothing happens to, one in four sleeps.
  const dozing = [...placesOf('terminate'), ...places].filter(() => random.next() < 0.25);
  const victim = target === 'both' ? random.pick(['server', 'vmm', 'server and vmm'] as const) : target;
  const running = [...Array(vms).keys()].filter(
    (place) => ![...dozing, ...placesOf('launch', 'resume')].includes(place),
  );
  return {
    asleep: [...placesOf('resume'), ...dozing],
    empty: placesOf('launch'),
    acts,
    busy: places.filter((place) => !dozing.includes(place)),
    victim,
    // Mostly one that something happens to.
    victimPlace: random.pick([...placesOf('launch', 'suspend', 'resume', 'terminate'), ...running]),
    killAtMs,
    downMs: random.next() < 0.25 ? random.between(500, 3000) : random.between(0, 200),
    fault: { atMs: random.between(0, killAtMs), strength: random.next() },
  };
}
