// The agent of a fake VM: what the host may ask, answered as the real one answers.
import type { Duplex } from 'node:stream';
import type { RelayAddress } from '../../contract/node-api.ts';
import type { StreamTarget } from '../../contract/shell-frames.ts';
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { Relay } from '../../relay/relay.ts';
import type { AppPlan, Guest } from '../driver.ts';
import type { FakeApp } from './fake-app.ts';
import { FakeRelay } from './fake-relay.ts';

export class FakeGuest implements Guest {
  /** Undefined before `listen`. */
  relay: RelayAddress | undefined;
  readonly #app: FakeApp;
  readonly #clock: Clock;
  readonly #ownRelay: FakeRelay;
  #connections: Relay | undefined;
  readonly #leaving = new Set<(reason: Fault) => void>();
  #gone = false;

  constructor(app: FakeApp, clock: Clock) {
    this.#app = app;
    this.#ownRelay = new FakeRelay(app);
    this.#clock = clock;
  }

  /** Opens the relay. */
  async listen(): Promise<void> {
    this.relay = await this.#ownRelay.listen();
    this.#connections = new Relay(this.relay);
  }

  async start(plan: AppPlan): Promise<void> {
    this.#alive('start');
    const { state } = this.#app;
    if (state.started) throw refusal('invalid', 'the application was started before');
    if (plan.argv.length === 0) throw refusal('invalid', 'there is nothing to start');
    state.environment = { ...plan.environment };
    state.started = true;
    this.#app.run();
  }

  async listening(port: number): Promise<boolean> {
    this.#alive('listening');
    return this.#app.listens(port);
  }

  hook(port: number, name: string, body: string | undefined, timeoutMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#alive('hook');
      if (!this.#app.listens(port)) throw refusal('refused', `nothing listens on port ${port}`);
      const settle = (act: () => void): void => {
        timer.cancel();
        this.#leaving.delete(refuse);
        act();
      };
      const refuse = (reason: Fault): void => settle(() => reject(reason));
      const timer = this.#clock.after(timeoutMs, () =>
        refuse(new Fault('deadline_exceeded', { what: `The guest's hook ${name}`, ms: timeoutMs })),
      );
      this.#leaving.add(refuse);
      this.#app.hook(name, body).then((status) => settle(() => resolve(status)), reject);
    });
  }

  async open(target: StreamTarget, signal?: AbortSignal): Promise<Duplex> {
    this.#alive('open');
    if (!this.#connections) throw new Fault('guest_failed', { what: 'has no network' });
    return this.#connections.open(target, signal);
  }

  /** The VM is no more: open questions fail, as do later ones. */
  leave(): void {
    this.#gone = true;
    this.#ownRelay.close();
    this.#connections?.close();
    for (const refuse of this.#leaving) refuse(new Fault('guest_failed', { what: 'went away' }));
  }

  #alive(call: string): void {
    if (this.#gone) throw new Fault('guest_failed', { what: `was gone before ${call}` });
  }
}

function refusal(code: string, message: string): Fault {
  return new Fault('guest_failed', { what: `answered ${code}: ${message}`, guestCode: code });
}
