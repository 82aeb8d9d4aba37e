// `npm run bench`: the floor and Waterbear taken in turns, so that both see the same machine, noise included; as a table and, with --json, as one last line of JSON.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openFloor, type Run } from './floor.ts';
import { benchGateway, type Check } from './gateway.ts';
import { openWaterbear, type StageReport } from './waterbear.ts';

/** The prototype's floor as published with the design, measured on a quiet machine of the same kind; printed for orientation. */
const published = { launch: 164, wake: 159, suspend: 17, asleepBytes: 3_000_000 };
const targets = { launch: 1.6, wake: 1.6, suspend: 5 };

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '9' },
    memory: { type: 'string', default: '512' },
  },
});
const runs = Math.max(7, Number(values.runs) || 9);
const memoryMib = Number(values.memory);
const requests = 20;

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
};
const round = (value: number, digits = 1): number => Number(value.toFixed(digits));
const say = (text: string): void => void process.stderr.write(`${text}\n`);

const mediansOf = (measured: readonly Run[]) => {
  const of = (name: keyof Run): number => round(median(measured.map((run) => run[name])));
  return { launch: of('launch'), wake: of('wake'), suspend: of('suspend'), asleepBytes: of('asleepBytes') };
};

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'waterbear-bench-'));
  try {
    const floorDirectory = join(directory, 'floor');
    mkdirSync(floorDirectory);
    say('waterbear: starting, building the image');
    const waterbear = await openWaterbear(join(directory, 'data'), memoryMib);
    let measured: [Medians, Medians, StageReport];
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
      measured = [mediansOf(floor), mediansOf(own), stageMedians(own.map((run) => run.report))];
    } finally {
      await waterbear.stop();
    }
    report(...measured, await benchGateway({ rounds: 5, seconds: 2 }));
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

function report(floor: Medians, own: Medians, stages: StageReport, gateway: readonly Check[]): void {
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
  console.log(`medians of ${runs} runs, ${requests} requests each, ${memoryMib} MiB, TCG`);
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
  if (!values.json) return;
  const json = Object.fromEntries(
    rows.map(({ name, floor: raw, waterbear, ratio, limit, met, published: prototype }) => [
      name,
      { ratio, limit, met, waterbear, floor: raw, prototype },
    ]),
  );
  console.log(JSON.stringify({ accelerator: 'tcg', memoryMib, runs, requests, ...json, stages, gateway }));
}

await main();
