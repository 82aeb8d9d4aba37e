// What the packet filter inside a slot allows: the host dials the relay; the guest goes out when egress is on; nothing else.
import { type SlotLink, unreachableForGuests } from './addresses.ts';
import { guestNetwork } from './slot.ts';

export type Egress = 'internet' | 'none';

/** Name of the slot's end of the link to the host. */
export const uplink = 'up0';
export const tap = 'tap0';

/** Matches questions to a name server. */
export const toNames = 'meta l4proto { tcp, udp } th dport 53';

/** Connections one guest may hold open outside; keeps one guest from filling the host's connection table. */
const maxEgressConnections = 4096;

/** nft script of one slot. Needs the tap to exist. `resolver` is a name server of the host's that guests may ask, through their gateway. */
export function slotRules(link: SlotLink, egress: Egress, resolver?: string): string {
  const out = egress === 'internet';
  return `${spoofGuard()}
table inet wb {
  chain relay_in {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${uplink}" ip saddr ${link.hostAddress} ip daddr ${link.slotAddress} tcp dport ${guestNetwork.relayPort} dnat ip to ${guestNetwork.guestAddress}:${guestNetwork.relayPort}
${out && resolver ? `    iifname "${tap}" ip daddr ${guestNetwork.gatewayAddress} ${toNames} dnat ip to ${resolver}\n` : ''}  }
  chain translate_out {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${tap}" snat ip to ${guestNetwork.gatewayAddress}
    oifname "${uplink}" snat ip to ${link.slotAddress}
  }
  chain input {
    type filter hook input priority filter; policy drop;
${out ? buildRules() : ''}  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    meta nfproto ipv6 drop
    ct state established,related accept
    ct state invalid drop
    iifname "${uplink}" oifname "${tap}" ct status dnat accept
${out ? egressRules(resolver) : ''}  }
}
`;
}

/** Image builds run in a slot too, in place of a guest: their own loopback, and answers to what they asked for. */
function buildRules(): string {
  return `    iifname "lo" accept
    iifname "${uplink}" ct direction reply ct state established accept
`;
}

/** Drops every frame that is not from the guest's own MAC and address, before anything else in the kernel sees it; with it IPv6 and VLANs. */
function spoofGuard(): string {
  const { guestMac, gatewayMac, guestAddress, gatewayAddress } = guestNetwork;
  return `table netdev wb {
  chain guest {
    type filter hook ingress device "${tap}" priority -500; policy drop;
    ether saddr ${guestMac} ether daddr ${gatewayMac} ip saddr ${guestAddress} accept
    ether saddr ${guestMac} arp saddr ether ${guestMac} arp saddr ip ${guestAddress} arp daddr ip ${gatewayAddress} accept
  }
}`;
}

// Refusals are answered, so that an application fails at once rather than after its connect timeout.
function egressRules(resolver: string | undefined): string {
  return `${resolver ? `    iifname "${tap}" oifname "${uplink}" ip daddr ${resolver} ${toNames} accept\n` : ''}    iifname "${tap}" ip daddr { ${unreachableForGuests.join(', ')} } reject with icmp type admin-prohibited
    iifname "${tap}" ct count over ${maxEgressConnections} drop
    iifname "${tap}" oifname "${uplink}" accept
`;
}
