// What the host's packet filter adds: one table, which holds even when the host's own rules allow everything.
import { unreachableForGuests } from './addresses.ts';
import { askJson } from './network-tools.ts';
import { type Egress, toNames } from './slot-rules.ts';

/** An empty chain of this name in a table says that a server of ours turned forwarding on. It outlives a crash, unlike memory. */
const forwardingMark = 'forwarding_was_off';

export function tableName(instance: string): string {
  return `wb_${instance}`;
}

/** Host-side names of the links of an instance, as `nft` matches them. */
const links = (instance: string): string => `"wb${instance}-*"`;

/** nft script that removes the table, whether or not it exists. */
export function withoutHostRules(instance: string): string {
  return `table inet ${tableName(instance)} {}\ndelete table inet ${tableName(instance)}\n`;
}

export interface HostRules {
  instance: string;
  range: string;
  egress: Egress;
  /** Name server that guests may ask although it is inside. */
  resolver?: string | undefined;
  /** User whose processes may dial guests: the server's own. */
  serverUid: number;
  forwardingWasOff: boolean;
}

/**
 * nft script that replaces the table. Packets from slots meet the checks before the host's address translation, so that a published port
 * cannot lead them inside, and once more at input and forward, after it. Only answers to the host pass as part of a known connection: the
 * connection table outlives slots, and what an earlier one was allowed must not count for the next with its address.
 */
export function hostRules(rules: HostRules): string {
  const own = links(rules.instance);
  const out = rules.egress === 'internet';
  const names = out && rules.resolver ? `ip daddr ${rules.resolver} ${toNames} accept` : '';
  return `${withoutHostRules(rules.instance)}table inet ${tableName(rules.instance)} {
  set inside { type ipv4_addr; flags interval; elements = { ${unreachableForGuests.join(', ')} }; }
  chain from_slots {
    type filter hook prerouting priority mangle; policy accept;
    iifname != ${own} accept
    meta nfproto ipv6 drop
    ip saddr != ${rules.range} drop
    fib saddr . iif oif missing drop
    ct direction reply ct state established accept
    fib daddr type != unicast drop
    ${names}
    ip daddr @inside drop
    ${out ? 'accept' : 'drop'}
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname ${own} ct direction reply ct state established accept
    iifname ${own} drop
  }
  chain output {
    type filter hook output priority filter - 10; policy accept;
    oifname ${own} meta skuid != ${rules.serverUid} drop
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    iifname ${own} oifname ${own} drop
    ${names && `iifname ${own} ${names}`}
    iifname ${own} ip daddr @inside drop
    iifname ${own} ${out ? 'accept' : 'drop'}
    oifname ${own} ct direction reply ct state established,related accept
    oifname ${own} drop
  }
${out ? masquerade(rules) : ''}${rules.forwardingWasOff ? `  chain ${forwardingMark} {}\n` : ''}}
`;
}

function masquerade(rules: HostRules): string {
  return `  chain to_internet {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${rules.range} oifname != ${links(rules.instance)} masquerade
  }
`;
}

/** Which instances on this host have a table, and which of those say that forwarding was off before. */
export async function instancesOnHost(): Promise<{ all: string[]; forwardingWasOff: string[] }> {
  const answer = (await askJson('nft', ['list', 'chains'])) as {
    nftables?: { chain?: { table: string; name: string } }[];
  };
  const chains = (answer.nftables ?? []).flatMap(({ chain }) => (chain ? [chain] : []));
  const ours = chains.flatMap(({ table, name }) => {
    const instance = /^wb_([0-9a-f]{4,6})$/.exec(table)?.[1];
    return instance ? [{ instance, name }] : [];
  });
  return {
    all: [...new Set(ours.map(({ instance }) => instance))],
    forwardingWasOff: ours.filter(({ name }) => name === forwardingMark).map(({ instance }) => instance),
  };
}
