// One host with real VMs for hostile guests: an attacker and a neighbour that harmless probes share, guests of their own for destructive ones,
// and canaries on the host and beyond it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildOrder } from '../../../src/contract/node-api.ts';
import { instanceOf } from '../../../src/node/layout.ts';
import type { NodeSettings } from '../../../src/node/open-node.ts';
import { describeFrame } from '../../real/net/frames.ts';
import { buildOrder, projectZip, type RealNode, startRealNode } from '../real-node.ts';
import { type HostCanary, startHostCanary } from './host-canary.ts';
import { HostileGuest } from './hostile-guest.ts';
import { type Outside, publicAddress, startOutside } from './outside.ts';
import { placeOf } from './vmm.ts';

export interface HostileHost extends AsyncDisposable {
  readonly real: RealNode;
  readonly instance: string;
  /** Builds the hostile application with these changes; the build's id. */
  build(changes?: Partial<BuildOrder>): Promise<string>;
  launch(name: string, buildId: string, runHookPayload?: string): Promise<HostileGuest>;
  end(guest: HostileGuest): Promise<void>;
}

/** Small, so that attacks on memory and disk come to their end soon. */
export const guestSize = { memoryMib: 384, vcpus: 1, diskMib: 512 } as const;

export async function startHostileHost(settings: Partial<NodeSettings> = {}): Promise<HostileHost> {
  const real = await startRealNode(settings);
  const instance = instanceOf(real.directory);
  const archivePath = join(real.directory, 'hostile.zip');
  await writeFile(archivePath, await projectZip('hostile'));
  return {
    real,
    instance,
    async build(changes = {}) {
      const order = buildOrder(archivePath, { ...guestSize, ...changes });
      await real.node.build(order, () => {});
      return order.buildId;
    },
    async launch(name, buildId, runHookPayload) {
      const microvmId = `microvm-${name}`;
      await real.node.launch({ microvmId, buildId, ...(runHookPayload ? { runHookPayload } : {}) });
      return new HostileGuest(() => real.node, microvmId, await placeOf(microvmId, instance));
    },
    end: ({ id }) => real.node.terminate(id),
    [Symbol.asyncDispose]: () => real.close(),
  };
}

export interface Rig extends AsyncDisposable {
  readonly host: HostileHost;
  readonly canary: HostCanary;
  readonly outside: Outside;
  readonly buildId: string;
  readonly attacker: HostileGuest;
  readonly neighbour: HostileGuest;
  /** Does `attack`; then what host, neighbour and the world outside noticed of it. Harmless is a TCP connection to the public stand-in. */
  watched<T>(attack: () => Promise<T>): Promise<{ answer: T; noticed: string[] }>;
}

export async function startRig(): Promise<Rig> {
  const stack = new AsyncDisposableStack();
  try {
    const canary = stack.use(await startHostCanary());
    const host = stack.use(await startHostileHost({ egress: 'internet' }));
    const outside = stack.use(await startOutside(host.instance, canary.port));
    const buildId = await host.build();
    const attacker = await host.launch('attacker', buildId);
    const neighbour = await host.launch('neighbour', buildId);
    const parts = { host, canary, outside, buildId, attacker, neighbour };
    return {
      ...parts,
      watched: (attack) => watch(parts, attack),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A failure need not fill the screen. */
const shownNotices = 12;

type Watched = Pick<Rig, 'canary' | 'outside' | 'attacker' | 'neighbour'>;

async function watch<T>(parts: Watched, attack: () => Promise<T>): Promise<{ answer: T; noticed: string[] }> {
  const { canary, outside, attacker, neighbour } = parts;
  canary.came.length = 0;
  outside.forget();
  const [escapedBefore, cameBefore] = [await outside.escaped(), (await neighbour.came()).length];
  const answer = await attack();
  // Packets keep their order: when this connection stands, all that was sent earlier has been decided on.
  const last = await attacker.tell<string>(`answer(tcp("${publicAddress}", ${outside.port}))`);
  const escaped = (await outside.escaped()) - escapedBefore;
  const noticed = [
    ...(last === 'connected' ? [] : [`the way to the public stand-in is not open: ${last}`]),
    ...(escaped === 0 ? [] : [`${escaped} packets left for elsewhere`]),
    ...canary.came.map((line) => `host: ${line}`),
    ...(await neighbour.came()).slice(cameBefore).map((line) => `neighbour: ${line.join(' ')}`),
    ...outside.frames
      .filter((frame) => !isHarmless(frame, outside.port))
      .map((frame) => `outside: ${describeFrame(frame)} ${frame.slice(0, 120)}`),
  ];
  return { answer, noticed: noticed.slice(0, shownNotices) };
}

/** ARP between host and stand-in, and TCP with the public address. */
export function isHarmless(frame: string, port: number): boolean {
  if (frame.slice(24, 28) === '0806') return true;
  const ends = describeFrame(frame).split(' ').slice(1).join(' ').split(' > ');
  return /^(syn|syn-ack|tcp) /.test(describeFrame(frame)) && ends.includes(`${publicAddress}:${port}`);
}
