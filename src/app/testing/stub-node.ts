// A host without VMs for tests: keeps the rules of NodeClient, counts calls, and fails when told to.
import type { Discarded, HostThing } from '../../contract/inventory.ts';
import type {
  BuildOrder,
  BuildOutcome,
  EndReason,
  LaunchOrder,
  LaunchReport,
  Leftover,
  NodeClient,
  NodeInfo,
  NodeMicrovm,
  NodeStatistics,
  RelayAddress,
  ReserveOrder,
  SuspendReport,
} from '../../contract/node-api.ts';
import { Fault } from '../../lib/errors.ts';

type Call =
  | 'statistics'
  | 'checkBuild'
  | 'reserve'
  | 'build'
  | 'launch'
  | 'suspend'
  | 'resume'
  | 'terminate'
  | 'discard'
  | 'deleteImage';

const capacity = { memoryMib: 16_384, committedMib: 0, parallelLaunches: 2, waiting: 0 };

export class StubNode implements NodeClient {
  readonly calls: string[] = [];
  readonly orders: BuildOrder[] = [];
  readonly launches: LaunchOrder[] = [];
  readonly vms = new Map<string, NodeMicrovm>();
  /** Errors to throw, by call, first one first. */
  readonly failures: Partial<Record<Call, unknown[]>> = {};
  /** While set, the call waits for it. */
  readonly gates: Partial<Record<Call, Promise<void>>> = {};
  readonly #listeners: ((microvmId: string, reason: EndReason) => void)[] = [];

  confinesEgress = true;

  info(): NodeInfo {
    return {
      driver: 'fake',
      accelerator: 'fake',
      architecture: 'X86_64',
      capacity,
      confinesEgress: this.confinesEgress,
    };
  }

  /** MicroVMs that room is kept for. */
  readonly reserved = new Set<string>();

  async checkBuild(): Promise<void> {
    await this.#fail('checkBuild');
  }

  async reserve({ microvmId }: ReserveOrder): Promise<void> {
    await this.#fail('reserve');
    this.reserved.add(microvmId);
  }

  async build(order: BuildOrder): Promise<BuildOutcome> {
    this.orders.push(order);
    await this.#enter('build', order.buildId);
    return { memorySnapshotBytes: 100, diskSnapshotBytes: 200, codeInstallBytes: 300, stages: { boot: 1 } };
  }

  buildLog(buildId: string): Promise<string> {
    return Promise.resolve(this.orders.some((order) => order.buildId === buildId) ? 'STEP 1\n' : '');
  }

  async launch(order: LaunchOrder): Promise<LaunchReport> {
    this.launches.push(order);
    await this.#enter('launch', order.microvmId);
    if (this.vms.has(order.microvmId)) throw new Fault('conflict', { what: 'It exists.' });
    const { microvmId, buildId, generation = 0 } = order;
    this.vms.set(microvmId, { microvmId, buildId, state: 'running', snapshot: 0, generation });
    return this.#report();
  }

  /** What `statistics` answers, by MicroVM; for others it is as if they did nothing. */
  readonly uses = new Map<string, { cpuMs: number; sentBytes: number }>();

  async statistics(microvmId: string): Promise<NodeStatistics | undefined> {
    await this.#fail('statistics');
    this.#require(microvmId, 'running');
    return { residentBytes: 1024, cpuMs: 5, sentBytes: 0, ...this.uses.get(microvmId) };
  }

  async suspend(microvmId: string): Promise<SuspendReport> {
    await this.#enter('suspend', microvmId);
    const vm = this.#require(microvmId, 'running');
    vm.state = 'asleep';
    vm.snapshot += 1;
    return { stages: { snapshot: 3 }, asleepBytes: 4096 };
  }

  async resume(microvmId: string): Promise<LaunchReport> {
    await this.#enter('resume', microvmId);
    this.#require(microvmId, 'asleep').state = 'running';
    return this.#report();
  }

  async terminate(microvmId: string): Promise<void> {
    this.reserved.delete(microvmId);
    await this.#enter('terminate', microvmId);
    this.vms.delete(microvmId);
  }

  relayOf(microvmId: string): RelayAddress | undefined {
    const runs = this.vms.get(microvmId)?.state === 'running' && !this.recovering.has(microvmId);
    return runs ? { host: '127.0.0.1', port: 1 } : undefined;
  }

  onEnded(listener: (microvmId: string, reason: EndReason) => void): void {
    this.#listeners.push(listener);
  }

  find(microvmId: string): NodeMicrovm | undefined {
    return this.list().find((one) => one.microvmId === microvmId);
  }

  list(): NodeMicrovm[] {
    return [...this.vms.values()].map((vm) =>
      this.recovering.has(vm.microvmId) ? { ...vm, state: 'recovering' } : { ...vm },
    );
  }

  deleteImage(buildId: string): Promise<void> {
    return this.#enter('deleteImage', buildId);
  }

  /** What `inventory` answers. */
  readonly things: HostThing[] = [];

  async inventory(): Promise<HostThing[]> {
    return this.things.map((thing) => ({ ...thing }));
  }

  async discard(ids: readonly string[]): Promise<Discarded[]> {
    const one = async (id: string): Promise<Discarded> => {
      const at = this.things.findIndex((thing) => thing.id === id);
      const thing = this.things[at];
      if (!thing) return { id, done: true, bytes: 0 };
      if (thing.use !== undefined) return { id, done: false, why: `In use: ${thing.use}.`, bytes: thing.bytes };
      await this.#enter('discard', id);
      this.things.splice(at, 1);
      return { id, done: true, bytes: thing.bytes };
    };
    const done: Discarded[] = [];
    for (const id of ids) done.push(await one(id));
    return done;
  }

  /** MicroVMs that are recovering until the promise resolves, with what `settled` answers. */
  readonly recovering = new Map<string, Promise<string | undefined>>();

  async settled(microvmId: string): Promise<string | undefined> {
    const why = await this.recovering.get(microvmId);
    this.recovering.delete(microvmId);
    return why;
  }

  leftovers(): Leftover[] {
    return [];
  }

  close(): Promise<void> {
    this.vms.clear();
    return Promise.resolve();
  }

  leave(): Promise<number> {
    return Promise.resolve(this.vms.size);
  }

  /** Its VMM dies; what is left is its snapshot, if it has one. */
  die(microvmId: string, what: string): void {
    const vm = this.#require(microvmId, 'running');
    if (vm.snapshot > 0) vm.state = 'asleep';
    else this.vms.delete(microvmId);
    for (const listener of this.#listeners) listener(microvmId, { cause: 'vmm_died', what });
  }

  /** The MicroVM ends by itself. */
  end(microvmId: string, reason: EndReason): void {
    this.vms.delete(microvmId);
    for (const listener of this.#listeners) listener(microvmId, reason);
  }

  async #enter(call: Call, id: string): Promise<void> {
    this.calls.push(`${call} ${id}`);
    await this.#fail(call);
  }

  async #fail(call: Call): Promise<void> {
    await this.gates[call];
    const failure = this.failures[call]?.shift();
    if (failure !== undefined) throw failure;
  }

  #require(microvmId: string, state: NodeMicrovm['state']): NodeMicrovm {
    const vm = this.vms.get(microvmId);
    if (vm?.state !== state) throw new Fault('conflict', { what: `${microvmId} is not ${state}.` });
    return vm;
  }

  #report(): LaunchReport {
    return { stages: { restore: 2 }, repaired: ['clock', 'entropy'], accelerator: 'fake' };
  }
}
