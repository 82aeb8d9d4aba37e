// What the gateway follows, and the one thing it may ask: to wake a MicroVM.
import type { EndpointSource } from '../contract/data-plane.ts';
import { Fault } from '../lib/errors.ts';
import type { AppContext } from './context.ts';
import { factsOf } from './endpoints.ts';
import { awake } from './wake.ts';

export function createEndpointSource(app: AppContext): EndpointSource {
  return {
    endpoints: () => app.index.known().map((vm) => factsOf(app, vm)),
    watch(listener) {
      app.watchers.push(listener);
    },
    async awake(microvmId) {
      const vm = app.index.get(microvmId);
      if (!vm) throw new Fault('conflict', { what: `MicroVM ${microvmId} has ended.` });
      await awake(app, vm);
    },
  };
}
