// A data plane in memory, whose MicroVMs are TCP ports on loopback.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import type { Activity, DataPlane, Endpoint } from '../../src/contract/data-plane.ts';
import { Limiter } from '../../src/contract/limiter.ts';
import type { EndpointLimits } from '../../src/contract/limits.ts';
import type { StreamTarget } from '../../src/contract/shell-frames.ts';
import { Signs } from '../../src/contract/signs.ts';
import { Fault } from '../../src/lib/errors.ts';
import { serveFakeShell } from '../../src/vmm/fake/fake-shell.ts';

export const suffix = 'vm.localhost';
export const hostOf = (microvmId: string): string => `${microvmId}.${suffix}`;

/** One pretended MicroVM: guest port → port on loopback. */
export interface Pretended {
  ports: Map<number, number>;
  asleep: boolean;
  autoResume: boolean;
}

const unlimited: EndpointLimits = {
  bytesPerSecond: 'unlimited',
  requestsPerSecond: 'unlimited',
  connections: 'unlimited',
};

export class PretendedPlane implements DataPlane {
  readonly vms = new Map<string, Pretended>();
  readonly connections: Socket[] = [];
  /** The host's ends of shells. */
  readonly shells: Duplex[] = [];
  wakes = 0;
  waiting = 0;
  begun = 0;
  ended = 0;
  touches = 0;
  opened = 0;
  /** Resolved by the test to let the wake under way finish. */
  wake: Promise<void> = Promise.resolve();
  #waking: Promise<void> | undefined;
  #listeners: ((microvmId: string) => void)[] = [];
  readonly #streams = new Map<string, Duplex[]>();

  /** Of every MicroVM; set before the first request. */
  limits: Partial<EndpointLimits> = {};
  readonly signs = new Map<string, Signs>();

  limiter(microvmId: string): Limiter | undefined {
    if (Object.keys(this.limits).length === 0) return undefined;
    const signs = this.signs.get(microvmId) ?? new Signs();
    this.signs.set(microvmId, signs);
    return new Limiter(signs, { ...unlimited, ...this.limits }, 0);
  }

  find(host: string): Endpoint | undefined {
    const microvmId = host.slice(0, -suffix.length - 1);
    const vm = this.vms.get(microvmId);
    return vm && { microvmId, host };
  }

  begin(): Activity {
    this.begun += 1;
    const touch = (): void => {
      this.touches += 1;
    };
    const end = (): void => {
      this.ended += 1;
    };
    return { touch, end };
  }

  awake(microvmId: string, signal: AbortSignal): Promise<void> | undefined {
    const vm = this.vms.get(microvmId);
    if (!vm) return Promise.reject(new Fault('not_found', { what: 'no such MicroVM' }));
    return vm.asleep ? this.#wakeUp(vm, signal) : undefined;
  }

  async #wakeUp(vm: Pretended, signal: AbortSignal): Promise<void> {
    if (!vm.autoResume) throw new Fault('conflict', { what: 'asleep' });
    this.waiting += 1;
    signal.addEventListener('abort', () => {
      this.waiting -= 1;
    });
    if (!this.#waking) this.wakes += 1;
    this.#waking ??= this.wake.then(() => {
      vm.asleep = false;
      this.#waking = undefined;
    });
    await this.#waking;
  }

  async open(microvmId: string, target: StreamTarget): Promise<Duplex> {
    this.opened += 1;
    if (target === 'shell') return this.#keep(microvmId, this.#openShell());
    const socket = connect(this.vms.get(microvmId)?.ports.get(target) ?? 1, '127.0.0.1');
    try {
      await once(socket, 'connect');
    } catch (cause) {
      throw new Fault('guest_failed', { what: 'refused the connection' }, cause);
    }
    this.connections.push(socket);
    return this.#keep(microvmId, socket);
  }

  /** Until the MicroVM leaves. */
  #keep(microvmId: string, stream: Duplex): Duplex {
    this.#streams.set(microvmId, [...(this.#streams.get(microvmId) ?? []), stream]);
    return stream;
  }

  #openShell(): Duplex {
    const [host, guest] = duplexPair();
    guest.on('error', () => {});
    host.once('close', () => guest.destroy());
    guest.once('close', () => host.destroy());
    serveFakeShell(guest);
    this.shells.push(host);
    return host;
  }

  onLeave(listener: (microvmId: string) => void): void {
    this.#listeners.push(listener);
  }

  leave(microvmId: string): void {
    for (const listener of this.#listeners) listener(microvmId);
    const gone = new Fault('guest_failed', { what: 'went away' });
    for (const stream of this.#streams.get(microvmId) ?? []) stream.destroy(gone);
  }
}
