// Makes the local base images that Dockerfiles can name where no registry is reached: node scripts/base-images.ts STORE-DIRECTORY
// Everything comes from Debian packages, through the apt sources and proxies of this machine.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type ContainerStore, openContainerStore, runBuildah } from '../src/build/storage.ts';
import { describe } from '../src/lib/errors.ts';
import { run } from '../src/lib/process.ts';

const suite = 'bookworm';
const stepTimeoutMs = 10 * 60_000;

// No CMD on purpose: an image that sets none of its own should fail to build with a clear sentence, not start a shell.
const debianDockerfile = `FROM scratch
ADD debian.tar /
`;

// pip is left out: it pulls in a compiler's worth of packages. Byte code stays: applications start sooner with it.
const pythonDockerfile = `FROM localhost/waterbear/debian:12
ENV PYTHONUNBUFFERED=1
RUN apt-get update -q \\
 && apt-get install -y -q --no-install-recommends python3 python-is-python3 \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/apt /var/log/dpkg.log \\
      /var/cache/debconf/*-old /var/lib/dpkg/*-old
`;

const say = (text: string): void => void process.stderr.write(`    ${text}\n`);

/** `deb` lines of this machine's own Debian sources; empty means mmdebstrap's default mirror. */
async function aptSources(): Promise<string[]> {
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ARCHITECTURE)';
  const { stdout } = await run('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
    'Origin: Debian',
  ]);
  const components = new Map<string, Set<string>>();
  for (const line of stdout.split('\n')) {
    const [uri, release, component, architecture] = line.split(' ');
    if (!uri || !release || !component || architecture !== 'amd64') continue;
    if (release !== suite && !release.startsWith(`${suite}-`)) continue;
    const source = `deb ${uri} ${release}`;
    components.set(source, (components.get(source) ?? new Set()).add(component));
  }
  const lines = [...components].map(([source, names]) => `${source} ${[...names].join(' ')}`);
  return lines.some((line) => line.includes(` ${suite} `)) ? lines : [];
}

/** The machine's apt proxies, so that apt inside RUN steps goes the same way. */
async function aptProxies(): Promise<string[]> {
  const { stdout } = await run('apt-config', ['dump', '--no-empty', '--format', '%f "%v";%n', 'Acquire']);
  return stdout.split('\n').filter((line) => /^Acquire::https?::Proxy(::\S+)? /i.test(line));
}

async function bootstrap(tar: string): Promise<void> {
  const options = [...(await aptProxies()), 'Acquire::Languages "none"', 'APT::Install-Recommends "false"'];
  const excluded = ['doc', 'man', 'locale', 'info', 'lintian'].map((name) => `path-exclude=/usr/share/${name}/*`);
  const args = [
    '--mode=root',
    '--variant=minbase',
    // Without these two, usrmerge would bring all of perl.
    '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
    '--include=usr-is-merged,ca-certificates',
    ...options.map((option) => `--aptopt=${option}`),
    // As in Docker's Debian images: nobody needs a sync after each package in a layer.
    ...[...excluded, 'path-include=/usr/share/doc/*/copyright', 'force-unsafe-io'].map(
      (option) => `--dpkgopt=${option}`,
    ),
    // The names of the machine it was made on stay out.
    '--customize-hook=rm -rf "$1"/var/log/apt "$1"/var/log/*.log "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old',
    '--customize-hook=: > "$1/etc/resolv.conf"; echo localhost > "$1/etc/hostname"',
    suite,
    tar,
    ...(await aptSources()),
  ];
  await run('mmdebstrap', args, { timeoutMs: stepTimeoutMs, env: { ...process.env, LC_ALL: 'C.UTF-8' } });
}

async function build(store: ContainerStore, context: string, name: string, dockerfile: string): Promise<void> {
  await writeFile(join(context, 'Dockerfile'), dockerfile);
  const args = [
    'bud',
    '--isolation=chroot',
    '--layers=false',
    '--force-rm',
    '--format=docker',
    '--pull-never',
    '--tag',
    name,
    context,
  ];
  // Our own commands: the machine's network is fine for them.
  await runBuildah(store, args, { network: 'host', readable: [context], timeoutMs: stepTimeoutMs });
  say(`${name} is there`);
}

/** Only variables that say how to reach package servers. */
function proxies(): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

async function main(directory: string): Promise<void> {
  const store = await openContainerStore(directory, proxies());
  if (store.driver === 'vfs')
    say('no overlay file system here: builds copy the whole tree for every layer and are slower');
  const context = await mkdtemp(join(directory, 'base-'));
  try {
    say('debian:12 with mmdebstrap');
    await bootstrap(join(context, 'debian.tar'));
    await build(store, context, 'localhost/waterbear/debian:12', debianDockerfile);
    await rm(join(context, 'debian.tar'));
    await build(store, context, 'localhost/waterbear/python:3', pythonDockerfile);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

const [directory] = process.argv.slice(2);
if (!directory) {
  process.stderr.write('usage: node scripts/base-images.ts STORE-DIRECTORY\n');
  process.exitCode = 2;
} else {
  main(resolve(directory)).catch((error: unknown) => {
    process.stderr.write(`${describe(error)}\n`);
    process.exitCode = 1;
  });
}
