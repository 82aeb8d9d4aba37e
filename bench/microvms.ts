// Launch, suspend, wake and what a sleeping MicroVM takes: the floor and Waterbear in turns, so that both see the same machine, noise included.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openFloor, type Run } from './floor.ts';
import { median, round, say } from './report.ts';
import { openWaterbear, type StageReport } from './waterbear.ts';

/** The prototype's floor as published with the design, measured on a quiet machine of the same kind; printed for orientation. */
const published = { launch: 164, wake: 159, suspend: 17, asleepBytes: 3_000_000 };
const targets = { launch: 1.6, wake: 1.6, suspend: 5 };

/** Requests to each VM before it is put to sleep. */
const requests = 20;

export interface MicrovmBench {
  /** Seven at least. */
  runs: number;
  memoryMib: number;
}

const mediansOf = (measured: readonly Run[]) => {
  const of = (name: keyof Run): number => round(median(measured.map((run) => run[name])));
  return { launch: of('launch'), wake: of('wake'), suspend: of('suspend'), asleepBytes: of('asleepBytes') };
};

/** Prints a table; resolves with the same as JSON. */
export async function benchMicrovms({ runs, memoryMib }: MicrovmBench): Promise<object> {
  const directory = mkdtempSync(join(tmpdir(), 'waterbear-bench-'));
  try {
    const floorDirectory = join(directory, 'floor');
    mkdirSync(floorDirectory);
    say('waterbear: starting, building the image');
    const waterbear = await openWaterbear(join(directory, 'data'), memoryMib);
    try {
      const guestDirectory = resolve(import.meta.dirname, '../.waterbear/guest');
      const options = {
        directory: floorDirectory,
        image: waterbear.image,
        guestDirectory,
        memoryMib,
        requests,
        port: 18_080,
      };
      say('floor: cold boot, base');
      const floorRun = await openFloor(options);
      const [floor, own]: [Run[], (Run & { report: StageReport })[]] = [[], []];
      for (let run = 1; run <= runs; run++) {
        say(`run ${run} of ${runs}`);
        floor.push(await floorRun());
        own.push(await waterbear.run(requests));
      }
      console.log(`\nMicroVMs: medians of ${runs} runs, ${requests} requests each, ${memoryMib} MiB, TCG`);
      const stages = stageMedians(own.map((run) => run.report));
      return {
        accelerator: 'tcg',
        memoryMib,
        runs,
        requests,
        ...report(mediansOf(floor), mediansOf(own), stages),
        stages,
      };
    } finally {
      await waterbear.stop();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

type Medians = ReturnType<typeof mediansOf>;

/** Where the product's milliseconds go, as its host reports them. */
function stageMedians(reports: StageReport[]): StageReport {
  const of = (step: keyof StageReport): Record<string, number> => {
    const names = Object.keys(reports[0]?.[step] ?? {});
    return Object.fromEntries(
      names.map((name) => [name, round(median(reports.map((report) => report[step][name] ?? 0)))]),
    );
  };
  return { launch: of('launch'), suspend: of('suspend'), wake: of('wake') };
}

function report(floor: Medians, own: Medians, stages: StageReport): object {
  const asleepLimit = floor.asleepBytes * 1.1 + (1 << 20);
  const rows = (['launch', 'wake', 'suspend', 'asleepBytes'] as const).map((name) => {
    const ratio = own[name] / floor[name];
    const limit = name === 'asleepBytes' ? asleepLimit / floor.asleepBytes : targets[name];
    return {
      name,
      published: published[name],
      floor: floor[name],
      waterbear: own[name],
      ratio: round(ratio, 2),
      limit: round(limit, 2),
      met: ratio <= limit,
    };
  });
  const unit = (name: string): string => (name === 'asleepBytes' ? 'bytes' : 'ms');
  console.log(
    ['', 'prototype', 'floor', 'waterbear', 'ratio', 'at most', '']
      .map((text, i) => text.padStart(i === 0 ? 20 : 12))
      .join(''),
  );
  for (const row of rows) {
    const cells = [row.published, row.floor, row.waterbear, row.ratio, row.limit].map((value) =>
      String(value).padStart(12),
    );
    console.log(`${`${row.name} (${unit(row.name)})`.padStart(20)}${cells.join('')}  ${row.met ? 'met' : 'MISSED'}`);
  }
  for (const [step, times] of Object.entries(stages)) {
    const parts = Object.entries(times).map(([name, ms]) => `${name} ${ms}`);
    console.log(`${`${step} on the host`.padStart(20)}  ${parts.join(' · ')}`);
  }
  return Object.fromEntries(
    rows.map(({ name, floor: raw, waterbear, ratio, limit, met, published: prototype }) => [
      name,
      { ratio, limit, met, waterbear, floor: raw, prototype },
    ]),
  );
}
