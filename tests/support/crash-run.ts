// One life of crash-script.ts, copied at its steps, and the verdict on each copy.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CrashImages, runOf } from './crash-images.ts';
import { bucket, newPromises, playLife } from './crash-script.ts';
import { judgeCrash } from './crash-verdict.ts';
import { leftovers } from './failing-disk.ts';
import { startTestServer } from './server.ts';
import { zipOf } from './zip.ts';

export interface CrashRun {
  /** Of the life; more of the same are not counted. */
  steps: number;
  /** Copies that differ. */
  judged: number;
  /** Sentences. */
  wrong: string[];
}

/** Of these crashes, and of these steps of the next server's start, one in so many is a second crash. */
const [secondIn, secondStepIn] = [20, 5];

/** `wanted`: which steps' copies are judged, counted from 0. `twice`: some starts after a crash are cut off too. */
export async function crashAt(wanted: (n: number) => boolean, twice = false): Promise<CrashRun> {
  const root = await mkdtemp(join(tmpdir(), 'waterbear-steps-'));
  const data = join(root, 'data');
  try {
    const server = await startTestServer({ driver: 'fake', dataDirectory: data });
    const promises = newPromises();
    const copies = new CrashImages({ data, into: join(root, 'copies'), acknowledged: () => promises, wanted });
    let before: string[];
    try {
      const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
      await server.s3.putObject({ Bucket: bucket, Key: 'demo.zip', Body: zip });
      before = await leftovers(data);
      await copies.watch();
      await playLife(server, promises, (isDull) => {
        copies.paused = isDull;
      });
    } finally {
      copies.stop();
      await server.close();
    }
    const wrong: string[] = [];
    const queue = copies.images.map((image, i) => ({
      image,
      lostVms: i % 2 === 0 ? ('end' as const) : ('restore' as const),
    }));
    const first = queue.length;
    let judged = 0;
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { image, lostVms } = next;
      const acknowledged = image.acknowledged;
      const into = `${image.directory}.again`;
      const isSecond = (n: number): boolean => n % secondStepIn === 0;
      const again =
        twice && judged < first && judged % secondIn === 0
          ? new CrashImages({ data, into, acknowledged: () => acknowledged, wanted: isSecond })
          : undefined;
      const verdict = await judgeCrash(image, { data, lostVms, before, ...(again ? { again } : {}) });
      if (verdict !== undefined) wrong.push(verdict);
      // What the first start has decided is decided: the second has the same policy.
      for (const second of again?.images ?? []) queue.push({ image: second, lostVms });
      for (const path of [image.directory, `${image.directory}.run`]) await rm(path, { recursive: true, force: true });
      judged += 1;
    }
    return { steps: copies.steps, judged, wrong };
  } finally {
    await rm(root, { recursive: true, force: true });
    await rm(runOf(data), { recursive: true, force: true });
  }
}
