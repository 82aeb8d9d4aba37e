// What the host's packet filter adds: one table, which holds even when the host's own rules allow everything.
import { unreachableForGuests } from './addresses.ts';
import { allQuestionsPerSecond, tcpTimeouts, udpTimeouts } from './limits.ts';
import { askJson } from './network-tools.ts';
import type { Reach, ResolverPlace } from './reach.ts';
import { carried, refusal } from './slot-rules.ts';

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
  reach: Reach;
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
  const { instance, range, reach, serverUid } = rules;
  const own = links(instance);
  const out = reach.egress === 'internet';
  const outside = out ? 'accept' : 'drop';
  const allowed = reach.allowedRanges.length > 0 ? `ip daddr { ${reach.allowedRanges.join(', ')} } ${outside}` : '';
  return `${withoutHostRules(instance)}table inet ${tableName(instance)} {
  set inside { type ipv4_addr; flags interval; elements = { ${unreachableForGuests.join(', ')} }; }
${timeouts('tcp', tcpTimeouts)}${timeouts('udp', udpTimeouts)}  chain from_slots {
    type filter hook prerouting priority mangle; policy accept;
    iifname != ${own} accept
    meta nfproto ipv6 drop
    ip saddr != ${range} drop
    fib saddr . iif oif missing drop
    ct direction reply ct state established accept
    ct state new ct timeout set "guest_tcp"
    ct state new ct timeout set "guest_udp"
    ${toResolver(reach, 'accept')}
    fib daddr type local ${refusal}
    fib daddr type != unicast drop
    meta l4proto != ${carried(reach)} drop
    ${allowed}
    ip daddr @inside drop
    ${outside}
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname ${own} ct direction reply ct state established accept
    ${toResolver(reach, 'jump questions', `iifname ${own} `)}
    iifname ${own} drop
    ${reach.resolver ? `ip daddr ${reach.resolver.address} drop` : ''}
  }
  chain output {
    type filter hook output priority filter - 10; policy accept;
    oifname ${own} meta skuid != ${serverUid} drop
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    iifname ${own} oifname ${own} drop
    ${allowed && `iifname ${own} ${allowed}`}
    iifname ${own} ip daddr @inside drop
    iifname ${own} ${outside}
    oifname ${own} ct direction reply ct state established,related accept
    oifname ${own} drop
  }
${reach.resolver ? untracked(reach.resolver, own) : ''}${out ? masquerade(rules) : ''}${rules.forwardingWasOff ? `  chain ${forwardingMark} {}\n` : ''}}
`;
}

const timeouts = (
  protocol: string,
  policy: Readonly<Record<string, number>>,
): string => `  ct timeout guest_${protocol} {
    protocol ${protocol}; l3proto ip
    policy = { ${Object.entries(policy)
      .map(([state, seconds]) => `${state}: ${seconds}`)
      .join(', ')} }
  }
`;

/** Rules for packets to our resolver, and to nothing else at its address. */
function toResolver({ resolver }: Reach, verdict: string, before = ''): string {
  if (!resolver) return '';
  const { address, udpPort, tcpPort } = resolver;
  return `${before}ip daddr ${address} udp dport ${udpPort} ${verdict}
    ${before}ip daddr ${address} tcp dport ${tcpPort} ${verdict}`;
}

/** Questions leave no entry in the table of connections: each may come from another port. */
function untracked({ address, udpPort }: ResolverPlace, own: string): string {
  return `  chain questions {
    meta l4proto udp limit rate over ${allQuestionsPerSecond}/second burst ${allQuestionsPerSecond} packets counter drop
    accept
  }
  chain untracked_questions {
    type filter hook prerouting priority raw; policy accept;
    iifname ${own} ip daddr ${address} udp dport ${udpPort} notrack
  }
  chain untracked_answers {
    type filter hook output priority raw; policy accept;
    oifname ${own} ip saddr ${address} udp sport ${udpPort} notrack
  }
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
