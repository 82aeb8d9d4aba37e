// What the packet filter inside a slot allows: the host dials the relay; the guest goes out when egress is on; nothing else.
import { type SlotLink, unreachableForGuests } from './addresses.ts';
import { questionsBurst, questionsPerSecond, type SlotLimits } from './limits.ts';
import type { Reach, ResolverPlace } from './reach.ts';
import { guestNetwork } from './slot.ts';
import { spoofGuard } from './spoof-guard.ts';

/** Name of the slot's end of the link to the host. */
export const uplink = 'up0';
export const tap = 'tap0';

/** How refusals are answered, so that an application fails at once rather than after its timeout. */
export const refusal = 'reject with icmp type admin-prohibited';

/** Protocols that may go outside, as nft matches them. */
export const carried = ({ udp }: Reach): string => (udp ? '{ tcp, udp }' : 'tcp');

/**
 * nft script of one slot. Needs the tap to exist. An image build may run in a slot too, in the place of a guest: what its processes send
 * comes through `output` and meets the same rules.
 */
export function slotRules(link: SlotLink, reach: Reach, limits: SlotLimits): string {
  const out = reach.egress === 'internet';
  const { guestAddress, gatewayAddress, relayPort } = guestNetwork;
  return `${spoofGuard(tap)}
table inet wb {
  chain relay_in {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${uplink}" ip saddr ${link.hostAddress} ip daddr ${link.slotAddress} tcp dport ${relayPort} dnat ip to ${guestAddress}:${relayPort}
    iifname "${tap}" jump names
  }
  chain own_names {
    type nat hook output priority -100; policy accept;
    jump names
  }
  chain names {
${reach.resolver ? nameRules(reach.resolver) : ''}  }
  chain translate_out {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${tap}" snat ip to ${gatewayAddress}
    oifname "${uplink}" snat ip to ${link.slotAddress}
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname "${uplink}" ct direction reply ct state established,related accept
    iifname "${tap}" ${refusal}
  }
  chain output {
    type filter hook output priority filter; policy drop;
    meta nfproto ipv6 drop
    ct state established,related accept
${reach.resolver ? `    ip daddr ${reach.resolver.address} jump egress\n` : ''}    oifname { "lo", "${tap}" } accept
    oifname "${uplink}" jump egress
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    meta nfproto ipv6 drop
    ct state established,related accept
    ct state invalid drop
    iifname "${uplink}" oifname "${tap}" ct status dnat accept
    iifname "${tap}" oifname "${uplink}" jump egress
    iifname "${tap}" ${refusal}
  }
${out ? egressRules(reach, limits) : chain('egress', [refusal])}}
`;
}

/** nft script that puts these rules in the place of those that a slot has, in one transaction. */
export function newSlotRules(link: SlotLink, reach: Reach, limits: SlotLimits): string {
  const tables = ['netdev', 'inet'].map((family) => `table ${family} wb {}\ndelete table ${family} wb\n`);
  return `${tables.join('')}${slotRules(link, reach, limits)}`;
}

/** Questions to the gateway are answered by our resolver. */
function nameRules({ address, udpPort, tcpPort }: ResolverPlace): string {
  const { gatewayAddress } = guestNetwork;
  return `    ip daddr ${gatewayAddress} udp dport 53 dnat ip to ${address}:${udpPort}
    ip daddr ${gatewayAddress} tcp dport 53 dnat ip to ${address}:${tcpPort}
`;
}

/** Only what begins a connection comes here. A TCP packet of an unknown connection (one from before a sleep) is told so. */
function egressRules(reach: Reach, limits: SlotLimits): string {
  const { resolver, allowedRanges } = reach;
  const { openConnections, newConnectionsPerSecond, newConnectionsBurst } = limits;
  const asks = resolver ? `ip daddr ${resolver.address} udp dport ${resolver.udpPort}` : '';
  const rules = [
    ...(asks
      ? [
          `${asks} limit rate over ${questionsPerSecond}/second burst ${questionsBurst} packets counter drop comment "questions"`,
          `${asks} accept`,
        ]
      : []),
    `meta l4proto != ${carried(reach)} ${refusal}`,
    ...(resolver ? [`ip daddr ${resolver.address} tcp dport ${resolver.tcpPort} goto open`] : []),
    ...(allowedRanges.length > 0 ? [`ip daddr { ${allowedRanges.join(', ')} } goto open`] : []),
    `ip daddr { ${unreachableForGuests.join(', ')} } ${refusal}`,
    'goto open',
  ];
  const open = [
    'tcp flags & (fin | syn | rst | ack) != syn reject with tcp reset',
    `limit rate over ${newConnectionsPerSecond}/second burst ${newConnectionsBurst} packets counter drop comment "new connections"`,
    `ct count over ${openConnections} counter ${refusal} comment "open connections"`,
    'accept',
  ];
  return `${chain('open', open)}${chain('egress', rules)}`;
}

const chain = (name: string, rules: readonly string[]): string =>
  `  chain ${name} {\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`;
