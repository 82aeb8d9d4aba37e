// What the gateway is told of MicroVMs.
import type { EndpointEvent, EndpointFacts } from '../contract/data-plane.ts';
import { areLimited } from '../contract/limiter.ts';
import type { MicrovmRow } from '../store/tables.ts';
import type { AppContext } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { SampledSignals } from './sampled-signals.ts';

/** Puts a MicroVM into the index. Its host is known to the gateway before anybody else hears of it. */
export function addEndpoint(app: AppContext, row: MicrovmRow): LiveMicrovm {
  const vm = app.index.add(row, app.clock.elapsed());
  tell(app, { kind: 'known', endpoint: factsOf(app, vm) });
  show(app, vm);
  return vm;
}

/** Lets its signs and the gateway know what its row says. */
export function show(app: AppContext, vm: LiveMicrovm): void {
  if (vm.row.state !== 'RUNNING') vm.signs.stop();
  // A sleep that was called off: connections to it are as good as they were.
  else if (vm.waking) vm.signs.goOn(app.clock.elapsed());
  else wake(app, vm);
}

function wake(app: AppContext, vm: LiveMicrovm): void {
  const { microvmId } = vm.row;
  const relay = app.node.relayOf(microvmId);
  // It has just ended, and the record of that is on its way.
  if (!relay) return;
  vm.wakingTimes += 1;
  vm.waking = { number: vm.wakingTimes, relay };
  const nowMs = app.clock.elapsed();
  vm.sampled = new SampledSignals(nowMs);
  vm.signs.wake(vm.waking.number, nowMs);
  tell(app, { kind: 'woke', microvmId, waking: vm.waking });
}

/** It is being suspended, or has ended: what is connected to it has to go. Idempotent. */
export function leave(app: AppContext, vm: LiveMicrovm): void {
  if (!vm.waking) return;
  vm.waking = undefined;
  vm.signs.leave();
  tell(app, { kind: 'left', microvmId: vm.row.microvmId });
}

export function forget(app: AppContext, vm: LiveMicrovm): void {
  tell(app, { kind: 'forgotten', microvmId: vm.row.microvmId });
}

function tell(app: AppContext, event: EndpointEvent): void {
  for (const watcher of app.watchers) watcher(event);
}

export function factsOf(app: AppContext, { row, signs, waking }: LiveMicrovm): EndpointFacts {
  const { microvmId, host, account, imageArn, memoryMib } = row;
  const limits = app.settings.limits.endpoint[memoryMib];
  return {
    ...{ microvmId, host, owner: { account, imageArn }, signs: signs.buffer },
    ...(limits && areLimited(limits) ? { limits } : {}),
    ...(waking ? { waking } : {}),
  };
}
