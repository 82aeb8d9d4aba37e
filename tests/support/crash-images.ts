// What a server that is killed leaves, without killing it: before each step that it takes (steps.ts), and in the middle of those that can be cut off, its files are copied
// as they are then, with what had been acknowledged until then. Another server begins from each copy. All of it in one thread: nothing is written while a copy is made
// but what another thread of Node's pool has just begun.
import { createHash, type Hash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { instanceOf } from '../../src/node/layout.ts';
import { type Step, watchSteps } from './steps.ts';

export interface CrashImage<L> {
  /** Of its step, counted from the first. */
  n: number;
  /** The step that was not done any more, for people. */
  step: string;
  directory: string;
  acknowledged: L;
}

export interface ImageOptions<L> {
  data: string;
  /** Where the copies go. */
  into: string;
  acknowledged: () => L;
  /** Whether this step's copy is wanted. */
  wanted: (n: number) => boolean;
}

/** Where the host of a data directory has what describes its processes. */
export const runOf = (data: string): string => `/run/waterbear-${instanceOf(data)}`;

/** What a server makes anew when it starts. */
const leftOut = new Set(['lock', 'disk-reserve', 'waterbear.db-shm']);

export class CrashImages<L> {
  readonly images: CrashImage<L>[] = [];
  /** Steps so far. */
  steps = 0;
  /** While it is set, steps are neither counted nor copied. */
  paused = false;
  readonly #options: ImageOptions<L>;
  /** Equal copies are not made twice. */
  readonly #known = new Set<string>();
  #stop = (): void => {};

  constructor(options: ImageOptions<L>) {
    this.#options = options;
  }

  async watch(): Promise<void> {
    this.#stop = await watchSteps((step) => this.#onStep(step));
  }

  /** Idempotent. */
  stop(): void {
    this.#stop();
    this.#stop = () => {};
  }

  #onStep(step: Step): void {
    const { data, wanted } = this.#options;
    const isOurs = [data, runOf(data)].some((root) => step.path.startsWith(`${root}/`));
    if (this.paused || !isOurs || leftOut.has(basename(step.path))) return;
    const n = this.steps++;
    if (!wanted(n)) return;
    const name = `${step.operation} ${step.path.split('/').slice(-2).join('/')}`;
    this.#copy(n, name);
    const { half } = step;
    if (half) this.#copy(n, `half of ${name}`, (copy) => half(this.#inCopy(copy, step.path)));
  }

  #inCopy(copy: string, path: string): string {
    const { data } = this.#options;
    return path.startsWith(`${data}/`)
      ? copy + path.slice(data.length)
      : `${copy}.run${path.slice(runOf(data).length)}`;
  }

  #copy(n: number, step: string, change = (_copy: string): void => {}): void {
    const { data, into, acknowledged } = this.#options;
    const directory = join(into, String(this.images.length));
    replace(data, directory);
    replace(runOf(data), `${directory}.run`);
    change(directory);
    const facts = structuredClone(acknowledged());
    const hash = createHash('sha1').update(JSON.stringify(facts));
    hashTree(hash, directory);
    hashTree(hash, `${directory}.run`);
    const key = hash.digest('hex');
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.images.push({ n, step, directory, acknowledged: facts });
  }
}

/** Puts the files of a copy to where they were. No server runs there. */
export function putBack(image: CrashImage<unknown>, data: string): void {
  replace(image.directory, data);
  replace(`${image.directory}.run`, runOf(data));
}

function replace(from: string, to: string): void {
  for (let attempt = 1; ; attempt++) {
    rmSync(to, { recursive: true, force: true });
    try {
      mkdirSync(to, { recursive: true });
      if (existsSync(from)) cpSync(from, to, { recursive: true, filter: (path) => !leftOut.has(basename(path)) });
      return;
    } catch (error) {
      // A step of another thread was faster; then it is done.
      if (attempt === 5) throw error;
    }
  }
}

function hashTree(hash: Hash, directory: string): void {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  for (const entry of entries.sort((a, b) => (join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1))) {
    const path = join(entry.parentPath, entry.name);
    hash.update(`\n${path.slice(directory.length)}\n`);
    if (entry.isFile()) hash.update(readFileSync(path));
  }
}
