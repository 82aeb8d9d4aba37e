// Makes the root disk of builder VMs: node scripts/builder-disk.ts STORE-DIRECTORY PROGRAM OUT-DIRECTORY
// Debian with buildah and mkfs, the program of guest/builder, and the local base images as a read-only store. Needs base-images.ts
// to have run, and overlay storage. The disk is raw: it is shared by all builds and never written.
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { diskArguments } from '../src/build/export-disk.ts';
import { buildah, openContainerStore, runBuildah, runCaged } from '../src/build/storage.ts';
import { describe } from '../src/lib/errors.ts';

const stepTimeoutMs = 10 * 60_000;
const baseImages = ['localhost/waterbear/debian:12', 'localhost/waterbear/python:3'];
const name = 'localhost/waterbear-builder';
/** Of the disk; every build may write as much again into a layer that is thrown away. */
const mib = 1024;
const uuid = '8a7d2f0e-5b8e-4f0e-9d55-6d1f5b0c7e11';

// Network plugins and what is for people are not needed in there.
const dockerfile = `FROM localhost/waterbear/debian:12
RUN apt-get update -q \\
 && apt-get install -y -q --no-install-recommends buildah e2fsprogs \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/* /usr/lib/cni /usr/share/doc /usr/share/man
COPY builder /usr/local/bin/waterbear-builder
`;

// $1 directory to work in, $2 disk, $3 image, $4 arguments of mkfs, $5 base images; after that the command line of buildah.
const script = `
set -eu
work=$1 disk=$2 image=$3 arguments=$4 bases=$5
shift 5
container=$("$@" from --pull-never "$image")
trap '"$@" rm "$container" >/dev/null 2>&1' EXIT
cp -a "$("$@" mount "$container")" "$work/tree"
for base in $bases; do "$@" push --quiet "$base" "containers-storage:[overlay@$work/tree/images+$work/run]$base"; done
truncate -s ${mib}M "$disk"
mkfs.ext4 $arguments -d "$work/tree" "$disk" >&2
`;

async function main(containers: string, program: string, out: string): Promise<void> {
  const store = await openContainerStore(containers);
  await mkdir(out, { recursive: true });
  const work = await mkdtemp(join(out, 'new-'));
  try {
    await copyFile(program, join(work, 'builder'));
    await writeFile(join(work, 'Dockerfile'), dockerfile);
    const bud = ['bud', '--isolation=chroot', '--layers=false', '--force-rm', '--format=docker', '--pull-never'];
    const common = { timeoutMs: stepTimeoutMs, onOutput: (text: Buffer) => void process.stderr.write(text) };
    // Our own commands: the machine's network is fine for them.
    await runBuildah(store, [...bud, '--tag', name, work], { ...common, network: 'host', readable: [work] });
    const disk = join(work, 'root.ext4');
    const values = [work, disk, name, diskArguments(uuid).join('\n'), baseImages.join('\n')];
    const command = ['sh', '-c', script, 'disk', ...values, ...buildah(store, [])];
    await runCaged(store, command, { ...common, writable: [work] });
    await rename(disk, join(out, 'root.ext4'));
  } finally {
    await rm(work, { recursive: true, force: true });
    await runBuildah(store, ['rmi', '--force', name]).catch(() => undefined);
  }
}

const [containers, program, out] = process.argv.slice(2);
if (!containers || !program || !out) {
  process.stderr.write('usage: node scripts/builder-disk.ts STORE-DIRECTORY PROGRAM OUT-DIRECTORY\n');
  process.exitCode = 2;
} else {
  main(resolve(containers), resolve(program), resolve(out)).catch((error: unknown) => {
    process.stderr.write(`${describe(error)}\n`);
    process.exitCode = 1;
  });
}
