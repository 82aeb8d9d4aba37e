// The demo as a person sees it: one line a stage, with the time it began, how long it took, and what came of it.
import type { Output, Paint } from '../surroundings.ts';

/** What a stage may say while it works. */
export interface StageNotes {
  /** A passing state: replaced on a terminal, left out elsewhere. */
  progress(text: string): void;
  /** What came of it, at the end of the stage's line. */
  result(text: string): void;
  /** A line of its own below the stage. */
  below(text: string): void;
}

export interface Timeline {
  heading(text: string): void;
  /** Runs one stage; its milliseconds are kept under `id`, whether it worked or not. */
  stage<T>(id: string, title: string, work: (notes: StageNotes) => Promise<T>): Promise<T>;
  /** Stage → milliseconds, in order. */
  stages(): Record<string, number>;
  totalMs(): number;
}

const titleWidth = 34;
const progressColumn = 24 + titleWidth;
const clearLine = '\r\x1b[K';
/** Where titles begin. */
const indent = ' '.repeat(23);

export function createTimeline(out: Output, paint: Paint, nowMs: () => number): Timeline {
  const beganMs = nowMs();
  const kept: Record<string, number> = {};
  const print = (text: string): void => out.write(`${out.isTty ? clearLine : ''}${text}\n`);
  return {
    heading: (text) => print(`\n${paint.bold(text)}`),
    stages: () => ({ ...kept }),
    totalMs: () => Math.round(nowMs() - beganMs),
    async stage(id, title, work) {
      const startMs = nowMs();
      const at = formatSeconds(startMs - beganMs).padStart(9);
      let result = '';
      const lines: string[] = [];
      const notes: StageNotes = {
        progress: (text) => {
          // A line that wraps could not be cleared again.
          const room = Math.max(0, (out.columns?.() ?? 80) - progressColumn - 1);
          const shown = paint.dim(text.slice(0, room));
          if (out.isTty) out.write(`${clearLine}${at}${' '.repeat(14)}${title.padEnd(titleWidth)} ${shown}`);
        },
        result: (text) => {
          result = text;
        },
        below: (text) => void lines.push(text),
      };
      notes.progress('…');
      const finish = (mark: string): void => {
        const ms = nowMs() - startMs;
        kept[id] = round(ms);
        const took = formatMs(ms).padStart(11);
        print(`${paint.dim(at)}${mark}${took}  ${title.padEnd(titleWidth)} ${result}`.trimEnd());
        for (const line of lines) print(`${indent}${paint.dim(line)}`);
      };
      try {
        const value = await work(notes);
        finish(' ');
        return value;
      } catch (error) {
        result = paint.red('failed');
        finish(paint.red('✗'));
        throw error;
      }
    },
  };
}

const round = (ms: number): number => Math.round(ms * 10) / 10;

/** `12.34 s` since the beginning. */
export const formatSeconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** `1 234 ms`: thousands apart, tenths only below 10 ms. */
export function formatMs(ms: number): string {
  const digits = ms < 9.95 ? ms.toFixed(1) : Math.round(ms).toString();
  return `${digits.replace(/\B(?=(\d{3})+$)/g, ' ')} ms`;
}

/** `spawn 33 · load 11 · resume 4`: milliseconds by stage, biggest digits only. */
export function formatStages(stages: Readonly<Record<string, number>>): string {
  return Object.entries(stages)
    .map(([name, ms]) => `${name} ${formatMs(ms).slice(0, -3)}`)
    .join(' · ');
}
