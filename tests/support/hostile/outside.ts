// A namespace that plays all the world beyond the host: a public address, and private ones that are really there, so that only a refusal of
// ours can be why a guest does not reach them. A fence keeps every other packet of the guests on this machine, whatever the product lets out.
import { connect } from 'node:net';
import { run } from '../../../src/lib/process.ts';
import { NetworkHelper } from '../../real/net/network-helper.ts';

export const publicAddress = '198.51.100.7';
const hostEnd = '198.51.100.1';

/** Some of each kind that no guest may reach. */
export const forbiddenAddresses = {
  metadata: ['169.254.169.254', '169.254.170.2'],
  private: ['10.213.7.7', '172.30.213.7', '192.168.213.7'],
  carrier: ['100.64.213.7'],
  reserved: ['192.0.0.170', '198.18.213.7', '240.0.213.7'],
} as const;

export interface Outside extends AsyncDisposable {
  readonly port: number;
  /** Frames that arrived, in hex. */
  readonly frames: readonly string[];
  /** Connections and datagrams to its servers: `tcp PEER`, `udp PEER TEXT`. */
  readonly visits: readonly string[];
  forget(): void;
  /** Packets of guests that were on their way to somewhere else. */
  escaped(): Promise<number>;
}

/** `instance` names the links of the host whose guests are fenced in. Proves once that its addresses answer. */
export async function startOutside(instance: string, port: number): Promise<Outside> {
  const names = { namespace: `wbprobe-${process.pid}`, link: `wbp${process.pid}`, table: `wbprobe_${process.pid}` };
  const stack = new AsyncDisposableStack();
  try {
    stack.defer(() => takeDown(names));
    await setUp(names, instance);
    const servers = stack.use(await NetworkHelper.start(names.namespace, 'listen', `${port}`));
    const observer = stack.use(await NetworkHelper.start(names.namespace, 'sniff', 'out0'));
    const mine = [publicAddress, ...Object.values(forbiddenAddresses).flat()];
    await Promise.all(mine.map((address) => answers(address, port)));
    const forget = (): void => {
      servers.lines.length = 0;
      observer.lines.length = 0;
    };
    forget();
    return {
      port,
      frames: observer.lines,
      visits: servers.lines,
      forget,
      escaped: () => escapedPackets(names.table),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

interface Names {
  namespace: string;
  link: string;
  table: string;
}

const ip = (lines: string[], args: string[] = []) =>
  run('ip', [...args, '-batch', '-'], { input: `${lines.join('\n')}\n` });

async function setUp({ namespace, link, table }: Names, instance: string): Promise<void> {
  await ip([
    `netns add ${namespace}`,
    `link add ${link} type veth peer name out0 netns ${namespace}`,
    `link set ${link} addrgenmode none`,
    `addr add ${hostEnd}/24 dev ${link}`,
    `link set ${link} up`,
  ]);
  const quiet = 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6';
  await run('ip', ['netns', 'exec', namespace, 'sh', '-c', quiet]);
  const all = Object.values(forbiddenAddresses).flat();
  await ip(
    [`addr add ${publicAddress}/24 dev out0`, ...all.map((one) => `addr add ${one}/32 dev out0`), 'link set out0 up'],
    ['-n', namespace],
  );
  await ip(all.map((address) => `route add ${address} via ${publicAddress} metric 4242`));
  const fence = `table inet ${table} {
    counter escaped {}
    chain fence { type filter hook forward priority 100; iifname "wb${instance}-*" oifname != "${link}" counter name escaped drop; }
  }`;
  await run('nft', ['-f', '-'], { input: fence });
}

async function takeDown({ namespace, link, table }: Names): Promise<void> {
  await ip([`link del ${link}`, `netns del ${namespace}`], ['-force']).catch(() => {});
  await run('nft', ['-f', '-'], { input: `table inet ${table} {}\ndelete table inet ${table}\n` });
}

async function escapedPackets(table: string): Promise<number> {
  const { stdout } = await run('nft', ['list', 'counter', 'inet', table, 'escaped']);
  return Number(/packets (\d+)/.exec(stdout)?.[1]);
}

function answers(address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, timeout: 5000 });
    const fail = (): void => {
      socket.destroy();
      reject(new Error(`The stand-in ${address}:${port} does not answer the host.`));
    };
    socket.once('timeout', fail).once('error', fail);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
