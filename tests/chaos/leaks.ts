// What exists beside what should: each thing on the machine and in the data directory must belong to somebody who lives.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { layersOf } from '../../src/vmm/snapshot-layers.ts';
import type { Rows } from './database.ts';
import type { Machine } from './machine.ts';

/** Network slots that a server keeps ready beside those in use. */
const preparedSlots = 3;

interface Living {
  running: Set<string>;
  asleep: Set<string>;
  /** Builds under way. */
  building: Set<string>;
  /** Builds whose images may have files. */
  images: Set<string>;
  /** Builds with a row. */
  builds: Set<string>;
}

const transient = new Set(['PENDING', 'SUSPENDING', 'TERMINATING']);
const shortId = (microvmId: string): string => microvmId.slice(-12);

/** Undefined while a MicroVM is on its way somewhere: nothing can be said then. */
function livingOf({ vms, builds }: Rows): Living | undefined {
  if (vms.some(({ state }) => transient.has(state))) return undefined;
  const ids = (wanted: string): Set<string> =>
    new Set(vms.filter(({ state }) => state === wanted).map(({ microvmId }) => microvmId));
  const buildIds = (keep: (build: Rows['builds'][number]) => boolean): Set<string> =>
    new Set(builds.filter(keep).map(({ buildId }) => buildId));
  const isOpen = ({ state }: { state: string }): boolean => state === 'PENDING' || state === 'IN_PROGRESS';
  return {
    running: ids('RUNNING'),
    asleep: ids('SUSPENDED'),
    building: buildIds(isOpen),
    images: buildIds((build) => isOpen(build) || (build.state === 'SUCCESSFUL' && build.versionState !== null)),
    builds: buildIds(() => true),
  };
}

/** Sentences; undefined while things are on their way. */
export async function judgeLeaks(machine: Machine, rows: Rows, data: string): Promise<string[] | undefined> {
  const living = livingOf(rows);
  if (!living) return undefined;
  return [...judgeMachine(machine, living), ...(await judgeFiles(data, living))];
}

function judgeMachine(machine: Machine, { running, building }: Living): string[] {
  const vms = new Set([...running].map(shortId));
  const builds = [...building].map((id) => `b-${id.slice(0, 8)}`);
  const isBuilds = (name: string): boolean => builds.some((prefix) => name.startsWith(prefix));
  const wrong: string[] = [];
  for (const { pid, vm, command } of machine.processes) {
    if (vm === undefined ? building.size === 0 : !vms.has(vm) && !isBuilds(vm)) {
      wrong.push(`process ${pid} belongs to nobody: ${command.slice(0, 150)}`);
    }
  }
  for (const id of vms) {
    const count = machine.processes.filter(({ vm, isVmm }) => vm === id && isVmm).length;
    if (count !== 1) wrong.push(`MicroVM …${id} runs and has ${count} VMMs`);
  }
  const used = new Set(machine.processes.map(({ namespace }) => namespace));
  const unused = machine.namespaces.filter(({ id }) => !used.has(id));
  // A build takes a slot before it has a process in it.
  if (unused.length > preparedSlots + building.size) {
    wrong.push(`${unused.length} namespaces without a VMM: ${unused.map(({ name }) => name).join(', ')}`);
  }
  const indexOf = (name: string): string => name.slice(name.lastIndexOf('-') + 1);
  const slots = new Set(machine.namespaces.map(({ name }) => indexOf(name)));
  const links = machine.links.filter((name) => !slots.has(indexOf(name)));
  if (links.length > 0) wrong.push(`links without a namespace: ${links.join(', ')}`);
  if (machine.tables.length > 1) wrong.push(`nft tables: ${machine.tables.join(', ')}`);
  if (machine.routes.length > 1) wrong.push(`reserved routes: ${machine.routes.join(', ')}`);
  if (building.size === 0) {
    for (const { path } of machine.cgroups.filter(({ processes }) => processes === 0))
      wrong.push(`empty cgroup ${path}`);
    for (const line of machine.mounts) wrong.push(`mount ${line}`);
  }
  for (const name of machine.run) {
    // Directories of VMs; what else is there is the host's own.
    const id = /^[0-9a-f]{12}$/.exec(name)?.[0];
    const isLeft = id === undefined ? name.startsWith('b-') && !isBuilds(name) : !vms.has(id);
    if (isLeft) wrong.push(`run directory ${name} of nobody`);
  }
  return wrong;
}

const names = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

async function judgeFiles(data: string, living: Living): Promise<string[]> {
  const wrong: string[] = [];
  const lasting = new Set([...living.running, ...living.asleep]);
  const vms = await names(join(data, 'vms'));
  for (const name of vms.filter((one) => !lasting.has(one))) wrong.push(`vms/${name} is of nobody`);
  for (const id of [...lasting].filter((one) => !vms.includes(one))) wrong.push(`vms/${id} is missing`);
  for (const id of vms.filter((one) => lasting.has(one)))
    wrong.push(...(await judgeVm(data, id, living.asleep.has(id))));
  for (const name of await names(join(data, 'images'))) {
    const [id = '', ...aside] = name.split('.');
    if (!(aside.length > 0 ? living.building : living.images).has(id)) wrong.push(`images/${name} is of nobody`);
  }
  for (const name of await names(join(data, 'logs'))) {
    if (!living.builds.has(name.split('.')[0] ?? '')) wrong.push(`logs/${name} is of nobody`);
  }
  const archives = await names(join(data, 'archives'));
  if (archives.length > living.building.size) wrong.push(`archives/ has ${archives.join(', ')}`);
  return wrong;
}

/** One snapshot at most, and no layer that it does not name but the one that is being written. */
async function judgeVm(data: string, id: string, isAsleep: boolean): Promise<string[]> {
  const directory = join(data, 'vms', id);
  const entries = await names(directory);
  const sleeps = entries.filter((name) => name.startsWith('sleep-'));
  const [snapshot] = sleeps;
  const wrong: string[] = [];
  if (sleeps.length > 1) wrong.push(`vms/${id} has ${sleeps.join(', ')}`);
  if (isAsleep && !snapshot) wrong.push(`vms/${id} sleeps without a snapshot`);
  const asides = entries.filter((name) => /\.|~/.test(name) && name !== 'microvm.json');
  if (asides.length > 0) wrong.push(`vms/${id} has ${asides.join(', ')}`);
  const named = (snapshot && (await layersOf(join(directory, snapshot)))) || new Set();
  const extra = (await names(join(directory, 'disk'))).filter((name) => !named.has(name));
  if (extra.length > (isAsleep ? 0 : 1)) wrong.push(`vms/${id}/disk has ${extra.join(', ')}, which no snapshot names`);
  return wrong;
}
