// Every pair of states of images, versions, builds and connectors: what the tables do not allow is not written.
import { expect, test } from 'vitest';
import {
  buildTransitions,
  connectorTransitions,
  imageTransitions,
  imageVersionTransitions,
} from '../contract/states.ts';
import { changeBuild, insertBuild } from './builds.ts';
import { changeConnector, insertConnector } from './connectors.ts';
import { changeImageVersion, insertImageVersion } from './image-versions.ts';
import { changeImage, insertImage } from './images.ts';
import { toJson } from './json.ts';
import { openStore, type Store } from './open-store.ts';

const imageArn = 'arn:aws:lambda:us-east-1:123456789012:microvm-image:demo';
const account = '123456789012';
const times = { createdAtMs: 1, updatedAtMs: 1 };
const version = { imageArn, version: '1.0', stateReason: null };

async function filledStore(): Promise<Store> {
  const store = await openStore(':memory:');
  await insertImage(store.db, {
    ...{ imageArn, account, name: 'demo', state: 'CREATED', latestActiveVersion: null, latestFailedVersion: null },
    ...{ lastOrdinal: 1, stateBefore: null, tags: toJson({}), ...times },
  });
  await insertImageVersion(store.db, {
    ...{ ...version, ordinal: 1, state: 'PENDING', status: 'INACTIVE', memoryMib: 512, spec: toJson({}), ...times },
  });
  await insertBuild(store.db, {
    ...{ ...version, buildId: 'b1', account, state: 'PENDING', architecture: 'X86_64', createdAtMs: 1 },
    ...{ memorySnapshotBytes: null, diskSnapshotBytes: null, codeInstallBytes: null, endedAtMs: null, attempts: 0 },
  });
  await insertConnector(store.db, {
    ...{ connectorId: 'nc-1', arn: 'a', account, name: 'n', state: 'PENDING', stateReason: null, operatorRole: 'r' },
    ...{ configuration: toJson({}), version: 1, updateStatus: null, updateReason: null, tags: toJson({}) },
    ...{ createdAtMs: 1, modifiedAtMs: 1, deletedAtMs: null },
  });
  return store;
}

async function tryAll<S extends string>(
  transitions: Record<S, readonly S[]>,
  set: (state: S) => Promise<unknown>,
  change: (state: S) => Promise<unknown>,
): Promise<void> {
  const states = Object.keys(transitions) as S[];
  for (const from of states) {
    for (const to of states) {
      await set(from);
      const done = await change(to).then(
        () => true,
        (error: unknown) => expect(error).toMatchObject({ code: 'internal' }),
      );
      expect([from, to, done === true]).toEqual([from, to, transitions[from].includes(to)]);
    }
  }
}

test('images', async () => {
  await using store = await filledStore();
  const { db } = store;
  await tryAll(
    imageTransitions,
    (state) => db.updateTable('images').set({ state }).execute(),
    (state) => changeImage(db, imageArn, { state }),
  );
});

test('versions', async () => {
  await using store = await filledStore();
  const { db } = store;
  await tryAll(
    imageVersionTransitions,
    (state) => db.updateTable('imageVersions').set({ state }).execute(),
    (state) => changeImageVersion(db, version, { state }),
  );
});

test('only a SUCCESSFUL version becomes ACTIVE', async () => {
  await using store = await filledStore();
  const { db } = store;
  for (const state of ['PENDING', 'IN_PROGRESS', 'FAILED', 'DELETING', 'DELETE_FAILED'] as const) {
    await db.updateTable('imageVersions').set({ state }).execute();
    await expect(changeImageVersion(db, version, { status: 'ACTIVE' })).rejects.toMatchObject({ code: 'internal' });
  }
  await db.updateTable('imageVersions').set({ state: 'SUCCESSFUL' }).execute();
  await changeImageVersion(db, version, { status: 'ACTIVE' });
});

test('builds', async () => {
  await using store = await filledStore();
  const { db } = store;
  await tryAll(
    buildTransitions,
    (state) => db.updateTable('builds').set({ state }).execute(),
    (state) => changeBuild(db, 'b1', { state }),
  );
});

test('connectors, and none that was deleted', async () => {
  await using store = await filledStore();
  const { db } = store;
  await tryAll(
    connectorTransitions,
    (state) => db.updateTable('networkConnectors').set({ state }).execute(),
    (state) => changeConnector(db, 'nc-1', { state }),
  );
  await db.updateTable('networkConnectors').set({ state: 'PENDING', deletedAtMs: 5 }).execute();
  await expect(changeConnector(db, 'nc-1', { state: 'ACTIVE' })).rejects.toMatchObject({ code: 'internal' });
});
