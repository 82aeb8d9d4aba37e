// After all attacks: the host is what it was.
import { existsSync, readdirSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { run } from '../../../src/lib/process.ts';
import { hashImages, strangeFiles, strayFiles } from '../../support/hostile/aftermath.ts';
import type { Rig } from '../../support/hostile/rig.ts';
import { processesIn, type VmmFacts, vmmFacts, vmmOf } from '../../support/hostile/vmm.ts';

interface Before {
  hashes: Record<string, string>;
  vmm: VmmFacts;
  stray: string[];
}

/** To be called before the attacks are registered; returns what registers the probes. */
export function rememberBefore(rig: () => Rig): () => void {
  let before: Before | undefined;
  beforeAll(async () => {
    const { host, attacker } = rig();
    before = {
      hashes: await hashImages(host.real.directory),
      vmm: await vmmFacts(attacker.place.pid),
      stray: await strayFiles(),
    };
  });
  return () => probes(rig, () => before);
}

function probes(rig: () => Rig, before: () => Before | undefined): void {
  test("the attacker's VMM is the same program, with the same rights and files", async () => {
    const { id, place } = rig().attacker;
    expect(await vmmOf(id)).toBe(place.pid);
    const { executable, uids, writable } = await vmmFacts(place.pid);
    expect({ executable, uids, writable }).toMatchObject({
      executable: before()?.vmm.executable,
      uids: before()?.vmm.uids,
      writable: before()?.vmm.writable,
    });
    expect(uids).not.toMatch(/\b0\b/);
    expect(await processesIn(place.namespace)).toEqual([place.pid]);
  });

  test('what the VMM can write is its own newest disk layer only', async () => {
    const { id, place } = rig().attacker;
    const { writable } = await vmmFacts(place.pid);
    const own = new RegExp(
      `^${rig().host.real.directory}/vms/${id}/disk/layer-\\d+\\.qcow2$|^/run/waterbear-|^/memfd:|^/layer`,
    );
    expect(writable.filter((path) => !own.test(path))).toEqual([]);
  });

  test('no file of an image has changed', async () => {
    const now = await hashImages(rig().host.real.directory);
    for (const [path, hash] of Object.entries(before()?.hashes ?? {})) expect(now[path], path).toBe(hash);
    expect(Object.keys(before()?.hashes ?? {}).length).toBeGreaterThan(3);
  });

  test('no file is where none belongs', async () => {
    expect(await strangeFiles(rig().host.real.directory, [/^hostile\.zip$/])).toEqual([]);
    expect((await strayFiles()).filter((path) => !before()?.stray.includes(path))).toEqual([]);
  });

  test('the host knows exactly the MicroVMs that are left', () => {
    const { host, attacker, neighbour } = rig();
    const left = host.real.node.list().map(({ microvmId, state }) => `${microvmId} ${state}`);
    expect(left.sort()).toEqual([`${attacker.id} running`, `${neighbour.id} running`]);
  });

  test('no packet of a guest has left this machine', async () => {
    expect(await rig().outside.escaped()).toBe(0);
  });

  test('the attacker still sleeps and wakes, and a fresh MicroVM is launched', async () => {
    const { host, attacker } = rig();
    await host.real.node.suspend(attacker.id);
    await host.real.node.resume(attacker.id);
    expect(await attacker.ping()).toBeGreaterThan(0);
    const fresh = await host.launch('fresh', rig().buildId);
    expect(await fresh.tell<number>('answer(6 * 7)')).toBe(42);
    await host.end(fresh);
  });

  test('nothing of the host is left when it closes', async () => {
    const { instance } = rig().host;
    await rig()[Symbol.asyncDispose]();
    const names = [...readdirSync('/run/netns'), ...readdirSync('/sys/class/net')];
    expect(names.filter((name) => name.startsWith(`wb-${instance}-`) || name.startsWith(`wb${instance}-`))).toEqual([]);
    expect((await run('nft', ['list', 'tables'])).stdout).not.toContain(`wb_${instance}`);
    expect(existsSync(`/run/waterbear-${instance}`)).toBe(false);
    expect(existsSync(rig().host.real.directory)).toBe(false);
  });
}
