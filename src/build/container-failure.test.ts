import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { BuildOutput, containerFailure } from './container-failure.ts';

const failed = (stderr: string): Fault => new Fault('process_failed', { command: 'x', exitCode: 1, stderr });

test('output is passed on up to its limit, whole characters only, and its end is remembered', () => {
  const got: string[] = [];
  const output = new BuildOutput((text) => got.push(text), 30);
  const euro = Buffer.from('€\n');
  output.add(euro.subarray(0, 1));
  output.add(euro.subarray(1));
  expect(got.join('')).toBe('€\n');
  output.say('x'.repeat(40));
  output.say('the last line');
  expect(got.join('')).toMatch(/x+\n\n\[the rest of the build's output is not kept\]\n$/);
  expect(got.join('')).not.toContain('the last line');
  expect(output.lastLines(1)).toBe('the last line');
});

test('the last lines can be shown: no escape sequences, no control characters', () => {
  const output = new BuildOutput(() => {});
  output.say('\x1b[2J\x1b]0;owned\x07one\r\ntwo\b\x7f\n\tthree');
  expect(output.lastLines()).toBe('one\ntwo\ufffd\ufffd\n\tthree');
});

test.each([
  ['write /x: no space left on device', 'DISK_STORAGE_FULL'],
  [
    // What buildah 1.28 says of a layer of many files that is longer than a file may be.
    `level=error msg="Can't close tar writer: io: read/write on closed pipe"
Error: committing container for step {Env:[] Command:run}: copying layers and metadata for container "adb6926b": initializing source containers-storage:python-working-container: storing layer "3c1ab28292b9" to file: io: read/write on closed pipe`,
    'DISK_STORAGE_FULL',
  ],
  ['python: io: read/write on closed pipe', 'CONTAINER_BUILD_FAILED'],
  ['File size limit exceeded', 'DISK_STORAGE_FULL'],
  ['exit status 1', 'CONTAINER_BUILD_FAILED'],
])('%s is %s', (stderr, reason) => {
  const output = new BuildOutput(() => {});
  output.say('what it said');
  expect(containerFailure(failed(stderr), 'The build', output)).toMatchObject({
    code: 'build_failed',
    facts: { reason, what: expect.stringContaining('what it said') },
  });
});

test('a missed deadline is a failed build; a cancelled one stays cancelled', () => {
  const output = new BuildOutput(() => {});
  expect(containerFailure(new Fault('deadline_exceeded', { what: 'x', ms: 2000 }), 'The build', output)).toMatchObject({
    facts: { reason: 'CONTAINER_BUILD_FAILED', what: 'The build did not finish within 2 s. It said nothing.' },
  });
  const aborted = new Fault('aborted', { what: 'x' });
  expect(containerFailure(aborted, 'The build', output)).toBe(aborted);
});
