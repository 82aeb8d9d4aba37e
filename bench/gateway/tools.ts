// nginx and h2load from Debian packages, unpacked beside the other tools of the repository: nothing of them is installed on the machine.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from '../../src/lib/process.ts';

const packages = [
  'nginx',
  'nghttp2-client',
  'libnghttp2-14',
  'libev4',
  'libjansson4',
  'libjemalloc2',
  'libpcre2-8-0',
  'libxml2',
];

export interface Tools {
  nginx: string;
  h2load: string;
  /** For both. */
  env: NodeJS.ProcessEnv;
}

/** Downloads and unpacks what is not there yet. Rejects when a package cannot be had. */
export async function openTools(): Promise<Tools> {
  const root = resolve(import.meta.dirname, '../../.waterbear/bench');
  if (!existsSync(root)) await unpack(`${root}.new`, root);
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  return {
    nginx: join(root, 'usr/sbin/nginx'),
    h2load: join(root, 'usr/bin/h2load'),
    env: { ...process.env, LD_LIBRARY_PATH: libraries },
  };
}

async function unpack(aside: string, root: string): Promise<void> {
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside, { recursive: true });
  const cwd = aside;
  await run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...packages], { cwd, timeoutMs: 300_000 });
  for (const name of readdirSync(aside)) {
    await run('dpkg', ['-x', name, '.'], { cwd });
    rmSync(join(aside, name));
  }
  renameSync(aside, root);
}
