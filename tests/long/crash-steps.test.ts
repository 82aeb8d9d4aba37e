// The server is killed at each kind of step of a launch, a sleep, a wake and an end of real VMs, which go on without it: what was asked for comes to its end, once.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CrashPlace, crashAtSteps, openCrashPlace } from '../support/crash-acts.ts';

let root = '';
let place: CrashPlace;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'waterbear-steps-'));
  place = await openCrashPlace(join(root, 'data'));
});
afterAll(async () => {
  await place?.close();
  await rm(root, { recursive: true, force: true });
});

test('launch, suspend, resume, terminate: each kind of step', async () => {
  const { crashes, wrong } = await crashAtSteps(place, () => true);
  expect(wrong).toEqual([]);
  expect(crashes.length).toBeGreaterThan(80);
}, 3_600_000);
