// The one place that knows how buildah is called: its own storage below one directory of ours, nothing in the system's, and
// always inside the cage. Base images and builds share it. Its layers are the build cache (see build-cache.ts for its bound).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, Fault } from '../lib/errors.ts';
import { type RunOptions, type RunResult, run } from '../lib/process.ts';
import { type Sandbox, sandboxed } from './sandbox.ts';

/** Where everything of buildah is kept; opened by `openContainerStore`. */
export interface ContainerStore {
  readonly directory: string;
  readonly driver: 'overlay' | 'vfs';
  /** Proxies and the like for pulls of base images; RUN steps never see them. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface CagedOptions
  extends RunOptions,
    Partial<Pick<Sandbox, 'network' | 'readable' | 'writable' | 'maxFileBytes'>> {
  /** Default: `shared`, as many at once as there are. `exclusive` runs only when nothing else does, and else not at all. */
  lock?: 'shared' | 'exclusive';
}

/** Exit code of `flock` when an exclusive lock is not to be had; buildah does not use it. */
const lockedExitCode = 97;

const registries = `unqualified-search-registries = []
short-name-mode = "disabled"
`;
/** Mirrors and the like that an operator may add, of the storage in `directory`. */
export const registriesFile = (directory: string): string =>
  join(directory, 'home', '.config', 'containers', 'registries.conf');

const policy = '{"default":[{"type":"insecureAcceptAnything"}]}\n';

/**
 * Opens (makes, if need be) the storage in `directory` (absolute). Overlay where the file system can, else vfs, which copies the
 * whole tree for every layer. Rejects with `missing_tool`, `missing_right` or what buildah said.
 */
export async function openContainerStore(
  directory: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<ContainerStore> {
  if (process.getuid?.() !== 0)
    throw new Fault('missing_right', {
      what: 'Building images',
      right: 'root',
      next: 'Run it as root, for example with sudo.',
    });
  const settings = join(directory, 'home', '.config', 'containers');
  for (const name of [settings, join(directory, 'cages')]) await mkdir(name, { recursive: true, mode: 0o700 });
  await writeFile(join(settings, 'policy.json'), policy);
  // Written once only: mirrors and insecure registries an operator adds stay.
  await writeFile(registriesFile(directory), registries, { flag: 'wx' }).catch(() => undefined);
  const driver = await storageDriver(directory, environment);
  return { directory, driver, environment };
}

/** What was found out once stays true: the layers are in that driver's form. */
async function storageDriver(
  directory: string,
  environment: Readonly<Record<string, string>>,
): Promise<'overlay' | 'vfs'> {
  const file = join(directory, 'driver');
  const known = await readFile(file, 'utf8').catch(() => '');
  if (known === 'overlay' || known === 'vfs') return known;
  const works = async (driver: 'overlay' | 'vfs'): Promise<void> => {
    await runBuildah({ directory, driver, environment }, ['images', '--quiet'], { timeoutMs: 30_000 });
  };
  const driver = await works('overlay').then(
    () => 'overlay' as const,
    async () => works('vfs').then(() => 'vfs' as const),
  );
  await writeFile(`${file}.new`, driver);
  await rename(`${file}.new`, file);
  return driver;
}

/** The command line of buildah on this storage. */
export function buildah(store: ContainerStore, args: readonly string[]): string[] {
  const { directory, driver } = store;
  return [
    'buildah',
    '--root',
    join(directory, 'root'),
    '--runroot',
    join(directory, 'run'),
    '--storage-driver',
    driver,
    ...args,
  ];
}

/** Runs buildah inside the cage. */
export function runBuildah(
  store: ContainerStore,
  args: readonly string[],
  options: CagedOptions = {},
): Promise<RunResult> {
  return runCaged(store, buildah(store, args), options);
}

/**
 * Runs `command` inside the cage with the storage writable. Rejects as `run` does; with `conflict` when the exclusive lock is
 * taken. Temporary files, cache mounts of RUN steps included, live as long as the call.
 */
export async function runCaged(
  store: ContainerStore,
  command: readonly string[],
  options: CagedOptions = {},
): Promise<RunResult> {
  const {
    network = 'none',
    readable = [],
    writable = [],
    maxFileBytes = 2 ** 40,
    lock = 'shared',
    ...runOptions
  } = options;
  const cage = await mkdtemp(join(store.directory, 'cages', 'c-'));
  try {
    const [root, temporary] = [join(cage, 'root'), join(cage, 'tmp')];
    for (const name of [root, temporary]) await mkdir(name);
    const inside = { network, root, readable, writable: [store.directory, ...writable], maxFileBytes };
    // `setpriv`: when this process dies, so does what runs inside. The lock is held until the last process inside is gone.
    const [program = '', ...args] = [
      ...['setpriv', '--pdeathsig', 'KILL', 'flock', '--no-fork', ...lockArguments(store, lock)],
      ...sandboxed(inside, command),
    ];
    return await run(program, args, {
      ...runOptions,
      env: { ...store.environment, ...cageEnvironment(store, temporary), ...runOptions.env },
    });
  } catch (error) {
    throw lockTaken(error) ? new Fault('conflict', { what: `Other builds use ${store.directory}.` }, error) : error;
  } finally {
    await rm(cage, { recursive: true, force: true }).catch((error: unknown) => {
      runOptions.onOutput?.(Buffer.from(`${cage} could not be removed: ${describe(error)}\n`));
    });
  }
}

/** Builds wait for a clean-up to end; a clean-up never waits for builds. */
function lockArguments(store: ContainerStore, lock: 'shared' | 'exclusive'): string[] {
  const wait = lock === 'exclusive' ? ['--nonblock'] : ['--timeout', '300'];
  return [`--${lock}`, ...wait, '--conflict-exit-code', String(lockedExitCode), join(store.directory, 'users.lock')];
}

const lockTaken = (error: unknown): boolean => error instanceof Fault && error.facts.exitCode === lockedExitCode;

function cageEnvironment(store: ContainerStore, temporary: string): Record<string, string> {
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LC_ALL: 'C.UTF-8',
    HOME: join(store.directory, 'home'),
    TMPDIR: temporary,
    XDG_RUNTIME_DIR: temporary,
    BUILDAH_ISOLATION: 'chroot',
    // The engine's built-in defaults, whatever this host's files say.
    CONTAINERS_CONF: '/dev/null',
    CONTAINERS_REGISTRIES_CONF: registriesFile(store.directory),
  };
}

/**
 * Keeps clean-ups away for as long as a build has several steps, so that no layer goes between two of them. Ends with this
 * process at the latest.
 */
export async function holdStore(store: ContainerStore, signal: AbortSignal): Promise<AsyncDisposable> {
  const holder = spawn('flock', ['--no-fork', ...lockArguments(store, 'shared'), 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(holder, 'exit');
  ended.catch(() => undefined);
  try {
    const held = await Promise.race([
      once(holder.stdout, 'data', { signal }).then(() => true),
      ended.then(() => false),
    ]);
    if (!held) throw new Fault('conflict', { what: `The storage ${store.directory} stayed locked.` });
  } catch (error) {
    holder.kill('SIGKILL');
    throw signal.aborted ? new Fault('aborted', { what: 'Waiting for the container storage' }, error) : error;
  }
  return {
    async [Symbol.asyncDispose]() {
      holder.kill('SIGKILL');
      await ended;
    },
  };
}
