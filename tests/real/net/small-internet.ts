// A namespace that plays the world outside: a public address and two that no guest may reach. No packet leaves the machine.
import { run } from '../../../src/lib/process.ts';
import { NetworkHelper } from './network-helper.ts';

export const publicAddress = '203.0.113.7';
/** On the host's end of the link. */
export const hostAddress = '203.0.113.1';
export const metadataAddress = '169.254.169.254';
export const lanAddress = '192.168.213.1';

export interface SmallInternet extends AsyncDisposable {
  /** Says `udp PEER TEXT` and `tcp PEER`. */
  servers: NetworkHelper;
  namespace: string;
}

export async function startSmallInternet(port: number): Promise<SmallInternet> {
  const namespace = `wbtest-${process.pid}`;
  const link = `wbt${process.pid}`.slice(0, 15);
  const ip = (lines: string[], args: string[] = []) =>
    run('ip', [...args, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  const stop = async (): Promise<void> => {
    await ip([`link del ${link}`, `netns del ${namespace}`], ['-force']).catch(() => {});
  };
  try {
    await ip([
      `netns add ${namespace}`,
      `link add ${link} type veth peer name out0 netns ${namespace}`,
      `addr add ${hostAddress}/24 dev ${link}`,
      `link set ${link} up`,
    ]);
    const addresses = [`${publicAddress}/24`, `${metadataAddress}/32`, `${lanAddress}/32`];
    await ip([...addresses.map((address) => `addr add ${address} dev out0`), 'link set out0 up'], ['-n', namespace]);
    await ip([metadataAddress, lanAddress].map((address) => `route add ${address} via ${publicAddress}`));
    const servers = await NetworkHelper.start(namespace, 'listen', `${port}`);
    return {
      servers,
      namespace,
      async [Symbol.asyncDispose]() {
        await servers[Symbol.asyncDispose]();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
