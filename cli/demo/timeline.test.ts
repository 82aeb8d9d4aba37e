// The timeline's columns, what a terminal gets more than a pipe, and that failed stages are shown and kept.
import { expect, test } from 'vitest';
import { formatBytes } from '../quantities.ts';
import { paintFor } from '../surroundings.ts';
import { createTimeline, formatMs, formatStages } from './timeline.ts';

function stage(isTty: boolean, env: Record<string, string> = {}) {
  let nowMs = 1000;
  let text = '';
  const out = {
    isTty,
    write: (piece: string): void => {
      text += piece;
    },
  };
  const timeline = createTimeline(out, paintFor(out, env), () => nowMs);
  return { timeline, text: () => text, advance: (ms: number) => (nowMs += ms) };
}

test('one aligned line a stage, without any control character in a pipe', async () => {
  const { timeline, text, advance } = stage(false);
  await timeline.stage('build', 'Build the image', async (notes) => {
    notes.progress('half way');
    advance(12_345);
    notes.result('done');
    notes.below('on the host: load 3');
  });
  await timeline.stage('wake', 'Wake', async () => void advance(7.25));
  expect(text().split('\n')).toEqual([
    '   0.00 s   12 345 ms  Build the image                    done',
    '                       on the host: load 3',
    '  12.35 s      7.3 ms  Wake',
    '',
  ]);
  expect(timeline.stages()).toEqual({ build: 12_345, wake: 7.3 });
});

test('a terminal sees the progress in place, and no colour with NO_COLOR', async () => {
  const plain = stage(true, { NO_COLOR: '1' });
  await plain.timeline.stage('a', 'A', async (notes) => notes.progress('half way'));
  expect(plain.text()).toContain('\r\x1b[K');
  expect(plain.text()).toContain('half way');
  expect(plain.text()).not.toContain('\x1b[2m');
  const wide = stage(true, { NO_COLOR: '1' });
  await wide.timeline.stage('a', 'A', async (notes) => notes.progress('x'.repeat(500)));
  expect(
    Math.max(
      ...wide
        .text()
        .split(/[\r\n]/)
        .map((line) => line.length),
    ),
  ).toBeLessThan(80 + '\x1b[K'.length);
  const coloured = stage(true);
  coloured.timeline.heading('Title');
  expect(coloured.text()).toContain('\x1b[1mTitle\x1b[22m');
});

test('a failed stage is marked, timed, and the error goes on', async () => {
  const { timeline, text, advance } = stage(false);
  const work = timeline.stage('a', 'A', async () => {
    advance(20);
    throw new Error('broken');
  });
  await expect(work).rejects.toThrow('broken');
  expect(text()).toMatch(/✗ +20 ms {2}A +failed\n$/);
  expect(timeline.stages()).toEqual({ a: 20 });
});

test('numbers read well', () => {
  expect([0.04, 9.94, 9.96, 999.4, 1234.5, 1_234_567].map(formatMs)).toEqual([
    '0.0 ms',
    '9.9 ms',
    '10 ms',
    '999 ms',
    '1 235 ms',
    '1 234 567 ms',
  ]);
  expect(formatStages({ spawn: 33.3, load: 4.25 })).toBe('spawn 33 · load 4.3');
  expect([29, 14_400, 4_508_876].map(formatBytes)).toEqual(['29 bytes', '14 kB', '4.3 MiB']);
});
