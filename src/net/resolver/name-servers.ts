// The host's name servers, as resolv.conf lists them; read again when the file has changed.
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Clock } from '../../lib/clock.ts';

export interface NameServer {
  address: string;
  port: number;
}

/** Those to ask, the best first. */
export interface NameServerList {
  list(): Promise<readonly NameServer[]>;
  /** `server` gave an answer, so it is asked first until another does: one that is down costs its timeout once, not with each question. */
  answered(server: NameServer): void;
}

const most = 8;
const checkMs = 1000;

/** What `text` lists, IPv4 and IPv6. Like the C library takes this machine when there is none. */
export function parseNameServers(text: string): NameServer[] {
  const named = [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map((match) => match[1] ?? '');
  const addresses = named.filter((address) => isIP(address) !== 0).slice(0, most);
  return (addresses.length > 0 ? addresses : ['127.0.0.1']).map((address) => ({ address, port: 53 }));
}

/** The list in `file`. Looks at most once a second whether the file is another one. */
export class NameServers implements NameServerList {
  readonly #file: string;
  readonly #clock: Clock;
  #known: { stamp: string; servers: readonly NameServer[] } | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  async list(): Promise<readonly NameServer[]> {
    const age = this.#clock.elapsed() - this.#lookedAt;
    if (this.#known && age < checkMs) return this.#known.servers;
    this.#lookedAt = this.#clock.elapsed();
    const { mtimeMs, ino, size } = await stat(this.#file).catch(() => ({ mtimeMs: 0, ino: 0, size: 0 }));
    const stamp = `${mtimeMs} ${ino} ${size}`;
    if (this.#known?.stamp !== stamp) {
      this.#known = { stamp, servers: parseNameServers(await readFile(this.#file, 'utf8').catch(() => '')) };
    }
    return this.#known.servers;
  }

  answered(server: NameServer): void {
    const known = this.#known;
    if (!known || known.servers[0] === server || !known.servers.includes(server)) return;
    this.#known = { ...known, servers: [server, ...known.servers.filter((other) => other !== server)] };
  }
}
