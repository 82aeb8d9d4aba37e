// What a server makes of what a crash left (crash-images.ts), compared with what had been promised (crash-script.ts). All that there is serves, or has ended with a reason;
// a call that is repeated is answered as before; and when all of it was ended, nothing is left.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { readRows } from '../chaos/database.ts';
import { judgeUsage } from '../chaos/usage.ts';
import { type CrashImage, type CrashImages, putBack, runOf } from './crash-images.ts';
import {
  askToRun,
  bucket,
  createRequest,
  imageName,
  type PromisedVm,
  type Promises,
  untilGone,
  untilImage,
  updateRequest,
} from './crash-script.ts';
import { leftovers } from './failing-disk.ts';
import { poll, startTestServer, type TestServer, type Token } from './server.ts';

export interface Judging {
  data: string;
  lostVms: 'end' | 'restore';
  /** Of a server that has nothing. */
  before: readonly string[];
  /** Makes copies of it while it takes up what the crash left, until it is asked for something that changes what is promised. */
  again?: CrashImages<Promises>;
}

/** Starts a server on what the crash left. Resolves with what is wrong with it; undefined: nothing. */
export async function judgeCrash(image: CrashImage<Promises>, judging: Judging): Promise<string | undefined> {
  const { data, lostVms, before, again } = judging;
  putBack(image, data);
  await again?.watch();
  try {
    const server = await startTestServer({ driver: 'fake', dataDirectory: data, existing: true, lostVms });
    try {
      await judge(server, image.acknowledged, judging);
      await poll('the end of all files', async () =>
        (await leftovers(data)).join() === before.join() ? true : undefined,
      ).catch(async (error: unknown) => {
        expect(await leftovers(data), String(error)).toEqual(before);
      });
      expect(await readdir(join(runOf(data), 'journal')), 'the journal').toEqual([]);
    } finally {
      await server.close();
    }
    return undefined;
  } catch (error) {
    return `before step ${image.n}, ${image.step} (--lost-vms ${lostVms}): ${error instanceof Error ? error.message : error}`;
  } finally {
    again?.stop();
  }
}

async function judge(server: TestServer, promises: Promises, judging: Judging): Promise<void> {
  const { s3, lambda, data } = server;
  const object = { Bucket: bucket, Key: 'kept' };
  const text = await s3.getObject(object).then(
    ({ Body }) => Body?.transformToString() ?? null,
    () => null,
  );
  expect(promises.object, 'the object').toContain(text);
  const imageArn = await judgeBuilds(server, promises);
  judging.again?.stop();
  const sleeps = new Map<string, number>();
  const ids: string[] = [];
  for (const [name, vm] of Object.entries(promises.vms)) {
    if (vm.phase === 'none') continue;
    const id = await askToRun(server, imageArn, vm);
    expect(id, 'what RunMicrovm answers again').toBe(vm.id ?? id);
    if (name === 'first') await judgeToken(server, promises, vm, id);
    await judgeVm(server, vm, id, judging);
    ids.push(id);
    sleeps.set(id, vm.sleeps);
  }
  const { items = [] } = await lambda.listMicrovms({});
  expect(items.map(({ microvmId }) => microvmId).sort()).toEqual(ids.sort());
  for (const microvmIdentifier of ids) await lambda.terminateMicrovm({ microvmIdentifier });
  for (const id of ids) await server.until(id, 'TERMINATED');
  if (imageArn !== '') {
    await lambda.deleteMicrovmImage({ imageIdentifier: imageArn });
    await untilGone(server, imageArn);
  }
  await s3.deleteObject(object);
  // Between the copy and this server more time may have passed than an end should take.
  const wrong = judgeUsage(readRows(join(data, 'waterbear.db')), sleeps, false).filter(
    (text) => !/ after its usage$/.test(text),
  );
  expect(wrong.join('\n')).toBe('');
}

/** Images come to what was asked for, once. Resolves with the ARN; empty when there never was one. */
async function judgeBuilds(server: TestServer, promises: Promises): Promise<string> {
  const { lambda } = server;
  const { image, imageArn = '', update, firstVersionEnds } = promises;
  if (image === 'none' || image === 'ends') return imageArn;
  let arn = imageArn;
  if (!firstVersionEnds) {
    const again = await lambda.createMicrovmImage(createRequest);
    arn = again.imageArn ?? '';
    expect([arn, again.imageVersion], 'what CreateMicrovmImage answers again').toEqual([imageArn || arn, '1.0']);
  }
  await untilImage(server, arn, 'CREATED', 'UPDATED');
  if (update !== 'none') {
    const again = await lambda.updateMicrovmImage({ imageIdentifier: arn, ...updateRequest });
    expect(again.imageVersion, 'what UpdateMicrovmImage answers again').toBe('2.0');
    await untilImage(server, arn, 'UPDATED');
  }
  const { items = [] } = await lambda.listMicrovmImages({ nameFilter: imageName });
  expect(items.map((item) => item.imageArn)).toEqual([arn]);
  const { items: versions = [] } = await lambda.listMicrovmImageVersions({ imageIdentifier: arn });
  const wanted = update === 'none' ? ['1.0'] : ['1.0', '2.0'];
  const found = versions.map(({ imageVersion }) => imageVersion).sort();
  expect(firstVersionEnds ? [['2.0'], wanted] : [wanted], 'the versions').toContainEqual(found);
  expect(versions.map(({ state }) => state)).toEqual(versions.map(() => 'SUCCESSFUL'));
  const { Tags = {} } = await lambda.listTags({ Resource: arn });
  expect(promises.tag, 'the tag').toContain(Tags.tag ?? null);
  return arn;
}

async function judgeToken(server: TestServer, { token, tokens }: Promises, vm: PromisedVm, id: string): Promise<void> {
  if (tokens !== 'cut' || token === undefined || vm.phase === 'ends') return;
  const { endpoint = '', state } = await server.lambda.getMicrovm({ microvmIdentifier: id });
  if (state === 'TERMINATED') return;
  expect((await server.get(endpoint, token)).status, 'a revoked token').toBe(403);
}

async function judgeVm(server: TestServer, vm: PromisedVm, id: string, { lostVms }: Judging): Promise<void> {
  const { phase, count, asleepCount } = vm;
  if (phase === 'ends') return void (await server.until(id, 'TERMINATED'));
  const answered = await askForCount(server, id);
  if (answered !== undefined) {
    const least = (asleepCount ?? 0) + 1;
    const most = phase === 'asleep' ? least : count + 1;
    expect(answered, 'the count').toBeGreaterThanOrEqual(least);
    expect(answered, 'the count').toBeLessThanOrEqual(most);
    return;
  }
  const { stateReason } = await server.until(id, 'TERMINATED');
  expect(stateReason).toMatch(phase === 'may end' ? /\.$/ : /\w+ .*\.$/);
  expect(phase, `why it ended: ${stateReason}`).toMatch(/^m/);
  if (lostVms === 'restore' && phase === 'moves') expect(asleepCount, `why it ended: ${stateReason}`).toBeUndefined();
}

/** Undefined when it has ended, or does so instead. */
async function askForCount(server: TestServer, id: string): Promise<number | undefined> {
  const { endpoint = '' } = await server.lambda.getMicrovm({ microvmIdentifier: id });
  const token: Token | undefined = await server.token(id).catch(() => undefined);
  const answer = token && (await server.get(endpoint, token));
  if (answer?.status === 200) return Number(answer.body);
  const { state } = await server.lambda.getMicrovm({ microvmIdentifier: id });
  expect(state, `it answered ${answer?.status} ${answer?.body}`).toMatch(/^TERMINAT/);
  return undefined;
}
