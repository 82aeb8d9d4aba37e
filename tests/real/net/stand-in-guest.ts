// A namespace that is wired to a slot's tap as a VM would be: a whole network stack in the place of a guest, without a VM.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { within } from '../../../src/lib/deadline.ts';
import { run } from '../../../src/lib/process.ts';
import { guestNetwork, type Slot } from '../../../src/net/slot.ts';
import { NetworkHelper } from './network-helper.ts';

const script = join(import.meta.dirname, 'guest-probe.py');
const python = '/usr/bin/python3';

/** Runs one probe of guest-probe.py in a namespace. */
export async function probe<T = string>(namespace: string, ...args: (string | number)[]): Promise<T> {
  const list = ['netns', 'exec', namespace, python, script, ...args.map(String)];
  const { stdout } = await run('ip', list, { timeoutMs: 60_000 });
  return JSON.parse(stdout) as T;
}

export interface StandInGuest extends AsyncDisposable {
  namespace: string;
  probe<T = string>(...args: (string | number)[]): Promise<T>;
  /** Listens for one connection; resolves when it does, with a promise of what came. */
  receive(port: number): Promise<{ done: Promise<{ bytes: number; seconds: number }> }>;
}

export async function standInGuest(slot: Slot): Promise<StandInGuest> {
  const namespace = `wbguest-${slot.namespace}`;
  const { guestAddress, gatewayAddress, prefixLength, guestMac } = guestNetwork;
  const inside = [
    'link set lo up',
    `link set eth0 address ${guestMac} up`,
    `addr add ${guestAddress}/${prefixLength} dev eth0`,
    `route add default via ${gatewayAddress}`,
  ];
  await run('ip', ['netns', 'add', namespace]);
  const remove = () => run('ip', ['netns', 'del', namespace]);
  try {
    const cable = await NetworkHelper.start(slot.namespace, 'guest', slot.tap, namespace);
    await run('ip', ['-n', namespace, '-batch', '-'], { input: `${inside.join('\n')}\n` });
    return {
      namespace,
      probe: (...args) => probe(namespace, ...args),
      receive: (port) => receive(namespace, port),
      async [Symbol.asyncDispose]() {
        await cable[Symbol.asyncDispose]();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function receive(namespace: string, port: number) {
  const args = ['netns', 'exec', namespace, python, script, 'listen', `${port}`];
  const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await within(10_000, 'The listener', lines.next());
  const result = lines.next().then(({ value }) => JSON.parse(`${value}`) as { bytes: number; seconds: number });
  const done = within(60_000, 'The transfer', result).finally(async () => {
    const gone = child.exitCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await gone;
  });
  return { done };
}
