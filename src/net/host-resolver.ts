// The name server of this host that guests may ask.
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';

/** The first IPv4 name server in `file`; undefined when there is none, or only one on this host's loopback, which no slot reaches. */
export async function hostResolver(file = '/etc/resolv.conf'): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '');
  return servers.find((server) => isIPv4(server) && !server.startsWith('127.') && server !== '0.0.0.0');
}
