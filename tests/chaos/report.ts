// What a run says: a line for each kill while it goes on, and one object at its end.
import { median } from '../../bench/report.ts';
import type { Finding, Findings } from './findings.ts';
import { type ActKind, actKinds, type Round } from './plan.ts';
import { nobody, type RoundReport } from './round.ts';
import type { ChaosOptions } from './run-chaos.ts';

interface Durations {
  median: number;
  most: number;
}

export interface ChaosReport {
  seed: number;
  kills: number;
  vms: number;
  target: string;
  fault: string;
  lostVms: string;
  /** How many of each kind were under way when somebody was killed. */
  acts: Record<ActKind, number>;
  /** Counts of findings: acknowledged and gone; left of nobody; any other promise that was not kept. */
  lost: number;
  leaked: number;
  broken: number;
  /** MicroVMs that ended, each with a reason or it is a finding. */
  ended: number;
  /** Milliseconds: from the start of the server until its ports were open; from there until the first answer, and until everything was at rest. */
  openMs: Durations;
  firstAnswerMs: Durations;
  settledMs: Durations;
  /** From the death of a VMM until it was known. */
  noticedMs: Durations;
  seconds: number;
  findings: string[];
  /** How to do all of it again. */
  repeat: string;
}

export class Tally {
  readonly #options: ChaosOptions;
  readonly #findings: Findings;
  readonly #rounds: RoundReport[] = [];
  readonly #started = performance.now();
  #said = 0;

  constructor(options: ChaosOptions, findings: Findings) {
    this.#options = options;
    this.#findings = findings;
  }

  /** Takes a round in; what to tell people about it. */
  line(round: Round, report: RoundReport): string {
    this.#rounds.push(report);
    const acts = round.acts.map(({ kind, atMs }) => `${kind} ${round.killAtMs - atMs} ms old`);
    const ms = (name: string, value: number | undefined): string[] =>
      value === undefined ? [] : [`${name} ${Math.round(value)} ms`];
    const { running, asleep, ended } = report.states;
    const parts = [
      `${String(round.number + 1).padStart(3)}/${this.#options.kills} ${report.victim} killed at ${round.killAtMs} ms`,
      acts.join(', '),
      [
        ...ms('open', report.openMs),
        ...ms('first answer', report.firstAnswerMs),
        ...ms('noticed', report.noticedMs),
        ...ms('settled', report.settledMs),
      ].join(', '),
      `${running} running, ${asleep} asleep, ${ended} ended`,
    ];
    const news = this.#findings.all.slice(this.#said).map(sentence);
    this.#said = this.#findings.all.length;
    return [parts.join(' · '), ...news.map((what) => `      ${what}`)].join('\n');
  }

  report(): ChaosReport {
    const { seed, kills, vms, target, fault = 'none', lostVms } = this.#options;
    const of = (name: 'openMs' | 'firstAnswerMs' | 'settledMs' | 'noticedMs'): Durations =>
      durations(this.#rounds.flatMap((round) => round[name] ?? []));
    const acts = Object.fromEntries(
      actKinds.map((kind) => [kind, this.#rounds.reduce((sum, { underway }) => sum + underway[kind], 0)]),
    ) as Record<ActKind, number>;
    return {
      ...{
        seed,
        kills: this.#rounds.filter(({ victim }) => victim !== nobody).length,
        vms,
        target,
        fault,
        lostVms,
        acts,
      },
      ...{ lost: this.#findings.count('lost'), leaked: this.#findings.count('leaked') },
      broken: this.#findings.count('broken'),
      ended: this.#rounds.at(-1)?.states.ended ?? 0,
      ...{ openMs: of('openMs'), firstAnswerMs: of('firstAnswerMs') },
      ...{ settledMs: of('settledMs'), noticedMs: of('noticedMs') },
      seconds: Math.round((performance.now() - this.#started) / 1000),
      findings: this.#findings.all.map(sentence),
      repeat: `npm run chaos -- --kills ${kills} --seed ${seed} ${wordsOf(this.#options)}`,
    };
  }
}

const sentence = ({ kind, round, what }: Finding): string => `${kind} (kill ${round}): ${what}`;

function wordsOf({ vms, target, fault, lostVms }: ChaosOptions): string {
  return [`--vms ${vms}`, `--target ${target}`, ...(fault ? [`--fault ${fault}`] : []), `--lost-vms ${lostVms}`].join(
    ' ',
  );
}

const durations = (values: readonly number[]): Durations => ({
  median: values.length === 0 ? 0 : Math.round(median(values)),
  most: Math.round(Math.max(0, ...values)),
});
