// Attacks of root in real VMs on one host: attacker and neighbour side by side. Each group has its own file; this one gives them their machines.
import { afterAll, beforeAll, describe } from 'vitest';
import { type Rig, startRig } from '../../support/hostile/rig.ts';
import { rememberBefore } from './afterwards.ts';
import { allPowersProbes } from './all-powers.ts';
import { floodProbes } from './floods.ts';
import { frameProbes } from './frames.ts';
import { insideProbes } from './inside.ts';
import { reachProbes } from './reach.ts';
import { resourceProbes } from './resources.ts';

let started: Rig | undefined;
const rig = (): Rig => {
  if (!started) throw new Error('The rig did not start.');
  return started;
};
beforeAll(async () => {
  started = await startRig();
});
afterAll(() => started?.[Symbol.asyncDispose]());

const afterwards = rememberBefore(rig);
describe('what it wants to reach', () => reachProbes(rig));
describe('what it forges', () => frameProbes(rig));
describe('what it has too much of', () => floodProbes(rig));
describe('what it takes apart inside', () => insideProbes(rig));
describe('what it does with all capabilities', () => allPowersProbes(rig));
describe('what it takes all of', () => resourceProbes(rig));
describe('afterwards', () => afterwards());
