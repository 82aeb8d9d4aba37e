// What builds make: images, logs, caches; and what they leave when they are cut off.
import type { HostThing } from '../../contract/inventory.ts';
import { isBuildId, isBuildWork, isId, isRemoved } from '../names.ts';
import { readRecord } from '../vm-record.ts';
import { namesIn, thingsIn } from './measure.ts';
import { inUse } from './microvm-things.ts';
import type { InventorySources } from './sources.ts';

const build = 'its build is under way';

export async function buildThings(sources: InventorySources): Promise<HostThing[]> {
  const { layout } = sources;
  const builds = sources.builds();
  const users = await usersOfImages(sources);
  const images = await thingsIn(sources, layout.images, (name) => {
    const [buildId = ''] = name.split('.');
    const use = builds.has(buildId) ? build : undefined;
    if (isRemoved(name)) return { kind: 'aside', buildId, name: `images/${name}` };
    if (isBuildWork(name)) return { kind: 'build-work', buildId, ...inUse(use) };
    if (!isId(name)) return undefined;
    return { kind: 'image', buildId, ...inUse(usedBy(users.get(buildId)) ?? use) };
  });
  const ofBuild = (kind: 'build-log' | 'archive', name: string, ending: string) => {
    const buildId = name.endsWith(ending) ? name.slice(0, -ending.length) : '';
    return isBuildId(buildId)
      ? { kind, buildId, name: buildId, ...inUse(builds.has(buildId) ? build : undefined) }
      : undefined;
  };
  return [
    ...images,
    ...(await thingsIn(sources, layout.logs, (name) => ofBuild('build-log', name, '.log'))),
    ...(await thingsIn(sources, layout.archives, (name) => ofBuild('archive', name, '.zip'))),
    ...(await thingsIn(sources, layout.buildCaches, (name) => {
      const account = /^(\d{12})\.disk$/.exec(name)?.[1];
      return account === undefined ? undefined : { kind: 'build-cache', account, name: account };
    })),
    ...(await loadedImages(sources)),
  ];
}

const usedBy = (count = 0): string | undefined =>
  count === 0 ? undefined : `${count} MicroVM${count === 1 ? '' : 's'} of this host need${count === 1 ? 's' : ''} it`;

/** By build id. From the records: also of MicroVMs whose fate is not known yet. */
async function usersOfImages({ layout }: InventorySources): Promise<ReadonlyMap<string, number>> {
  const users = new Map<string, number>();
  for (const name of await namesIn(layout.vms)) {
    if (!isId(name)) continue;
    const record = await readRecord(layout, name);
    if (record) users.set(record.buildId, (users.get(record.buildId) ?? 0) + 1);
  }
  return users;
}

async function loadedImages({ driver, layout }: InventorySources): Promise<HostThing[]> {
  return driver.idleImages().flatMap(({ image, bytes }) => {
    const buildId = image.startsWith(`${layout.images}/`) ? image.slice(layout.images.length + 1) : '';
    return isId(buildId)
      ? [{ kind: 'loaded-image', id: `loaded-image:${buildId}`, where: image, bytes, ageMs: 0, buildId }]
      : [];
  });
}

/** Files of ours in the data directory's own level and among the keys that were being replaced. */
export async function asideThings(sources: InventorySources): Promise<HostThing[]> {
  const { data } = sources.layout;
  const isOurs = (name: string): boolean => /\.[0-9a-f]{8}\.new$/.test(name);
  const among = (directory: string, prefix: string): Promise<HostThing[]> =>
    thingsIn(sources, directory, (name) => (isOurs(name) ? { kind: 'aside', name: `${prefix}${name}` } : undefined));
  return [...(await among(data, '')), ...(await among(`${data}/keys`, 'keys/'))];
}
