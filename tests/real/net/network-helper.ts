// A running network-helper.py: lines in, lines out.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { within } from '../../../src/lib/deadline.ts';

const script = join(import.meta.dirname, 'network-helper.py');

export class NetworkHelper implements AsyncDisposable {
  /** Lines so far. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #changed: () => void = () => {};

  private constructor(namespace: string | undefined, args: readonly string[]) {
    const enter = namespace ? ['netns', 'exec', namespace, '/usr/bin/python3'] : [];
    const child = spawn(namespace ? 'ip' : '/usr/bin/python3', [...enter, '-u', script, ...args], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()));
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.lines.push(line);
      this.#changed();
    });
  }

  /** Starts the helper in `namespace` (this one when undefined) and waits until it is ready. */
  static async start(namespace: string | undefined, ...args: string[]): Promise<NetworkHelper> {
    const helper = new NetworkHelper(namespace, args);
    const died = helper.#exited.then(() => Promise.reject(new Error(`The helper ended: ${args.join(' ')}`)));
    await Promise.race([helper.until((line) => line === 'ready'), died]);
    died.catch(() => {});
    return helper;
  }

  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Waits for a line that came, or comes. */
  until(wanted: (line: string) => boolean, ms = 5000): Promise<string> {
    const found = new Promise<string>((resolve) => {
      const look = (): void => {
        const line = this.lines.find(wanted);
        if (line !== undefined) resolve(line);
      };
      this.#changed = look;
      look();
    });
    return within(ms, 'What the helper should say', found);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
