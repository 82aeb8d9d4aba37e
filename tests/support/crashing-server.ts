// `waterbear serve` that ends itself at a step of its own and is started again, on real VMs.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ServerProcess, startServerIn } from './server-process.ts';

export class CrashingServer {
  readonly #data: string;
  readonly #more: string[];
  #current: ServerProcess | undefined;

  /** Keeps two files beside the data directory. */
  constructor(data: string, ...more: string[]) {
    this.#data = data;
    this.#more = more;
  }

  get current(): ServerProcess {
    if (!this.#current) throw new Error('the server was not started');
    return this.#current;
  }

  async start(): Promise<void> {
    await rm(this.#order, { force: true });
    const url = pathToFileURL(resolve(import.meta.dirname, 'crashing-process.ts'));
    for (const [name, value] of [['order', this.#order] as const, ['report', this.#report] as const])
      url.searchParams.set(name, value);
    const environment = { ...process.env, NODE_OPTIONS: `--import ${JSON.stringify(url.href)}` };
    this.#current = await startServerIn(environment, this.#data, ...this.#more);
  }

  /** The names of the steps from now until `work` is over, each once. */
  async steps(work: () => Promise<unknown>): Promise<string[]> {
    await this.#arm('none');
    await work();
    await rm(this.#order, { force: true });
    return [...new Set((await readFile(this.#report, 'utf8')).split('\n').filter(Boolean))];
  }

  /** The server ends at this step, if it comes to it during `work`, and is started again. Resolves with whether it did. */
  async endsAt(step: string, work: () => Promise<unknown>): Promise<boolean> {
    const { child } = this.current;
    const gone = once(child, 'exit');
    await this.#arm(step);
    // The answer may be lost with the server.
    await Promise.race([work().catch(() => {}), gone]);
    const wasKilled = (await readFile(this.#report, 'utf8')).endsWith('killed\n');
    if (wasKilled) {
      await gone;
      await this.start();
    }
    await rm(this.#order, { force: true });
    return wasKilled;
  }

  async stop(): Promise<void> {
    if (!this.#current || this.#current.child.exitCode !== null || this.#current.child.signalCode) await this.start();
    await this.current.stop('SIGTERM');
    for (const file of [this.#order, this.#report]) await rm(file, { force: true });
  }

  get #order(): string {
    return `${this.#data}.order`;
  }

  get #report(): string {
    return `${this.#data}.report`;
  }

  async #arm(step: string): Promise<void> {
    await writeFile(this.#report, '');
    await writeFile(this.#order, `${randomUUID()}\n${step}`);
  }
}
