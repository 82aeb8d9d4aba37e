// The finished image's tree as a root disk. mkfs reads the tree inside the cage; the host never mounts the disk.
import { join } from 'node:path';
import { remove } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { type BuildOutput, containerFailure } from './container-failure.ts';
import { buildah, type ContainerStore, runCaged } from './storage.ts';

export interface ExportOrder {
  store: ContainerStore;
  imageId: string;
  /** The disk becomes `root.ext4` in it. */
  workDirectory: string;
  diskMib: number;
}

export interface ExportedDisk {
  rootDisk: string;
  codeInstallBytes: number;
}

const timeoutMs = 10 * 60_000;

// No journal: a VM's disk is only ever resumed together with the memory it belongs to, so nobody replays one, and it would only
// be written to. mkfs discards a fresh file, which marks the inode tables as zeroed: an idle guest then has nothing to
// initialize. One inode per 8 KiB, since trees of many small files are usual. The UUID and the times depend on the image only.
/** Arguments of mkfs.ext4 without the tree and the disk. */
export const diskArguments = (uuid: string): string[] => [
  ...['-q', '-F', '-b', '4096', '-I', '256', '-i', '8192', '-m', '0', '-L', 'waterbear-root', '-U', uuid],
  ...['-O', '^has_journal,^resize_inode', '-E', `discard,lazy_itable_init=1,hash_seed=${uuid}`],
];

// $1 image, $2 disk, $3 MiB, $4 arguments of mkfs, one a line; after that the command line of buildah.
const script = `
set -eu
image=$1 disk=$2 mib=$3 arguments=$4
shift 4
container=$("$@" from --pull-never "$image")
trap '"$@" rm "$container" >/dev/null 2>&1' EXIT
tree=$("$@" mount "$container")
du -sx --block-size=1 "$tree" | cut -f1
truncate -s "\${mib}M" "$disk"
E2FSPROGS_FAKE_TIME=1 mkfs.ext4 $arguments -d "$tree" "$disk" >&2
`;

/** Rejects with `build_failed`: `DISK_STORAGE_FULL` when the tree does not fit into `diskMib`; or `aborted`. */
export async function exportDisk(order: ExportOrder, output: BuildOutput, signal: AbortSignal): Promise<ExportedDisk> {
  const { store, imageId, workDirectory, diskMib } = order;
  const rootDisk = join(workDirectory, 'root.ext4');
  const uuid = imageId.replace(/^sha256:/, '').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
  try {
    const values = [imageId, rootDisk, String(diskMib), diskArguments(uuid).join('\n')];
    const command = ['sh', '-c', script, 'export', ...values, ...buildah(store, [])];
    const { stdout } = await runCaged(store, command, { writable: [workDirectory], timeoutMs, signal });
    return { rootDisk, codeInstallBytes: Number.parseInt(stdout, 10) };
  } catch (error) {
    await remove(rootDisk);
    throw exportFailure(error, diskMib, output);
  }
}

/** The fault for `error` of writing the root disk: of all that can run out of space, only the disk itself is meant. */
export function exportFailure(error: unknown, diskMib: number, output: BuildOutput): unknown {
  const fault = containerFailure(error, 'Writing the root disk', output);
  return fault instanceof Fault && fault.facts.reason === 'DISK_STORAGE_FULL' ? doesNotFit(diskMib, error) : fault;
}

function doesNotFit(diskMib: number, cause: unknown): Fault {
  const what = `The image does not fit into a disk of ${diskMib} MiB. Remove what the application does not need, or ask for a larger disk.`;
  return new Fault('build_failed', { reason: 'DISK_STORAGE_FULL', what }, cause);
}
