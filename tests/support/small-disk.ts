// A small ext4 of its own, in a file: what is filled here is nobody else's. Needs root.
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/lib/process.ts';

export interface SmallDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly directory: string;
  /** Takes all room but `leaveMib`; with 0, to the last block. */
  fill(leaveMib: number): Promise<void>;
  free(): Promise<void>;
}

export async function smallDisk(mib: number): Promise<SmallDisk> {
  const place = await mkdtemp(join(tmpdir(), 'waterbear-disk-'));
  const [image, directory] = [join(place, 'image'), join(place, 'mounted')];
  const ballast = join(directory, 'ballast');
  try {
    await mkdir(directory);
    const file = await open(image, 'wx');
    await file.truncate(mib * 2 ** 20);
    await file.close();
    // Nothing is kept for root alone: the server would go on where its VMs do not.
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
    await run('mount', ['-o', 'loop', image, directory]);
  } catch (error) {
    await rm(place, { recursive: true, force: true });
    throw error;
  }
  return {
    directory,
    async fill(leaveMib) {
      await rm(ballast, { force: true });
      await run('sync', ['-f', directory]);
      const { stdout } = await run('df', ['--output=avail', '-B1M', directory]);
      const availableMib = Number(stdout.split('\n')[1]);
      await run('fallocate', ['-l', `${availableMib - Math.max(1, leaveMib)}M`, ballast]);
      if (leaveMib > 0) return;
      await run('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k', 'oflag=append', 'conv=notrunc']).catch(() => {});
      await run('sync', ['-f', directory]);
    },
    free: () => rm(ballast, { force: true }),
    async [Symbol.asyncDispose]() {
      try {
        await unmounted(directory);
      } finally {
        await rm(place, { recursive: true, force: true });
      }
    },
  };
}

/** What has just ended may hold it for a moment; longer, only what a test has left. Then it goes from here now, altogether with its last user, and the test fails. */
async function unmounted(directory: string): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const done = await run('umount', [directory]).then(
      () => true,
      () => false,
    );
    if (done) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await run('umount', ['--lazy', directory]);
  throw new Error(`${directory} is still in use`);
}
