// What tests of a host's recovery ask and expect of the one MicroVM that they are about.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { ask } from '../support/real-node.ts';
import { committed, type FakeHost } from './node-rig.ts';

export const id = 'microvm-a';
export const never = new Promise<never>(() => {});

export const stateOf = (host: FakeHost): string | undefined =>
  host.node.list().find(({ microvmId }) => microvmId === id)?.state;
export const count = (host: FakeHost): Promise<number> => ask<number>(host.node, id);
export const files = (host: FakeHost, ...names: string[]): Promise<string[]> => readdir(join(host.directory, ...names));

/** Resolves with why it is lost; undefined when it is not. */
export async function crashed(host: FakeHost): Promise<string | undefined> {
  await host.crash();
  return host.node.settled(id);
}

/** Nothing but what the host keeps of this MicroVM, in this state. */
export async function expectClean(host: FakeHost, state: 'running' | 'asleep' | undefined): Promise<void> {
  expect(stateOf(host)).toBe(state);
  expect(await files(host, 'vms')).toEqual(state ? [id] : []);
  expect(host.driver.machines).toHaveLength(state === 'running' ? 1 : 0);
  expect((await files(host, 'run', 'journal')).length).toBe(state === 'running' ? 1 : 0);
  expect(await files(host, 'run')).toEqual(['journal']);
  expect((await files(host, 'images')).filter((name) => name.includes('.'))).toEqual([]);
  expect(host.node.leftovers()).toEqual([]);
  expect(committed(host)).toBe(state === 'running' ? 513 : 0);
}
