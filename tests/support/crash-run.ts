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

/** `wanted`: which steps' copies are judged, counted from 0. */
export async function crashAt(wanted: (n: number) => boolean): Promise<CrashRun> {
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
    for (const [i, image] of copies.images.entries()) {
      const verdict = await judgeCrash(image, { data, lostVms: i % 2 === 0 ? 'end' : 'restore', before });
      if (verdict !== undefined) wrong.push(verdict);
      await rm(image.directory, { recursive: true, force: true });
    }
    return { steps: copies.steps, judged: copies.images.length, wrong };
  } finally {
    await rm(root, { recursive: true, force: true });
    await rm(runOf(data), { recursive: true, force: true });
  }
}
