// The root of the emulated machine, as an initramfs made from this machine's own files: Node, QEMU with its libraries and
// firmware, busybox, the KVM modules, our tools, our program, and what its VMs boot.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Fault } from '../../../src/lib/errors.ts';
import { run } from '../../../src/lib/process.ts';
import { qemuBinary } from '../../../src/vmm/qemu/host-engine.ts';
import { type ArchiveEntry, newcArchive } from './newc-archive.ts';
import { programFiles } from './program-files.ts';

const busybox = '/bin/busybox';
/** For `microvm` and for loading a kernel. */
const firmware = ['bios-microvm.bin', 'qboot.rom', 'linuxboot_dma.bin', 'kvmvapic.bin', 'pvh.bin'];
const kvmModules = ['irqbypass', 'kvm', 'kvm-amd'];
const l1Commands = ['sh', 'mount', 'insmod', 'chmod', 'poweroff', 'date'];
const applicationCommands = ['sh', 'head', 'md5sum', 'date', 'sleep'];

export interface L1Sources {
  repository: string;
  /** What set-up made: `guest`, `bin`, `kernel`. */
  tools: string;
}

/** Entries of the machine's root. Rejects with `missing_tool` when set-up has not been run. */
export async function l1Files({ repository, tools }: L1Sources): Promise<ArchiveEntry[]> {
  const here = join(repository, 'tests/support/kvm');
  const executable = (path: string, file: string): ArchiveEntry => ({ path, file, mode: 0o755 });
  const modules = await findModules(join(tools, 'kernel/lib/modules'));
  return [
    executable('/init', join(here, 'l1-init.sh')),
    ...['/dev', '/proc', '/sys', '/run', '/tmp'].map((path) => ({ path, directory: true }) as const),
    ...busyboxFiles('/bin', l1Commands),
    executable('/bin/node', process.execPath),
    executable(qemuBinary, qemuBinary),
    ...(await librariesOf([process.execPath, qemuBinary])),
    ...firmware.map((name) => ({ path: `/usr/share/qemu/${name}`, file: `/usr/share/qemu/${name}` })),
    ...modules.map(([name, file]) => ({ path: `/modules/${name}.ko`, file })),
    ...['launch', 'seal'].map((name) => executable(`/wb/bin/${name}`, join(tools, 'bin', name))),
    { path: '/wb/guest/vmlinuz', file: join(tools, 'guest/vmlinuz') },
    { path: '/wb/guest/initramfs', bytes: await guestInitramfs(here, tools) },
    ...(await programFiles(repository, 'tests/support/kvm/l1-program.ts')),
  ];
}

/** Our initramfs with an application packed behind it: the VMs of this test have no disk. */
async function guestInitramfs(here: string, tools: string): Promise<Uint8Array> {
  const application = newcArchive([
    ...busyboxFiles('/app/bin', applicationCommands),
    { path: '/app/counter.sh', file: join(here, 'counter.sh'), mode: 0o755 },
  ]);
  const initramfs = await readFile(join(tools, 'guest/initramfs')).catch((cause: unknown) => {
    throw new Fault('missing_tool', { tool: join(tools, 'guest/initramfs'), next: 'npm run setup' }, cause);
  });
  return Buffer.concat([initramfs, await buffer(application)]);
}

function busyboxFiles(directory: string, commands: string[]): ArchiveEntry[] {
  return [
    { path: `${directory}/busybox`, file: busybox, mode: 0o755 },
    ...commands.map((name) => ({ path: `${directory}/${name}`, link: 'busybox' })),
  ];
}

async function librariesOf(binaries: string[]): Promise<ArchiveEntry[]> {
  const { stdout } = await run('ldd', binaries);
  const paths = new Set(stdout.split('\n').flatMap((line) => /(?:=> |^\s+)(\/\S+)/.exec(line)?.[1] ?? []));
  return [...paths].map((path) => ({ path, file: path, mode: 0o755 }));
}

async function findModules(directory: string): Promise<[name: string, file: string][]> {
  const files = await readdir(directory, { recursive: true }).catch(() => []);
  return kvmModules.map((name) => {
    const file = files.find((path) => path.endsWith(`/${name}.ko`));
    if (!file) throw new Fault('missing_tool', { tool: `${directory}/…/${name}.ko`, next: 'npm run setup' });
    return [name, join(directory, file)];
  });
}
