// The first thing that a frame from a guest meets: only its own MAC and address pass, and not too many of them.
import { arpPerSecond, framesBurst, framesPerSecond } from './limits.ts';
import { guestNetwork } from './slot.ts';

/**
 * nft script. What falls here is seen by nothing else in the kernel: false MACs and addresses, broadcasts, IPv6, VLAN tags, fragments (which
 * it would have to hold and put together; with path MTU discovery nobody sends them) and IP options (source routes).
 */
export function spoofGuard(tap: string): string {
  const { guestMac, gatewayMac, guestAddress, gatewayAddress } = guestNetwork;
  return `table netdev wb {
  chain guest {
    type filter hook ingress device "${tap}" priority -500; policy drop;
    limit rate over ${framesPerSecond}/second burst ${framesBurst} packets counter drop comment "frames"
    ether type != { ip, arp } counter drop comment "other protocols"
    ether type ip ip hdrlength != 5 counter drop comment "options"
    ether type ip ip frag-off & 0x3fff != 0 counter drop comment "fragments"
    ether saddr ${guestMac} ether daddr ${gatewayMac} ip saddr ${guestAddress} accept
    ether type arp limit rate over ${arpPerSecond}/second burst ${arpPerSecond} packets counter drop comment "arp"
    ether saddr ${guestMac} arp saddr ether ${guestMac} arp saddr ip ${guestAddress} arp daddr ip ${gatewayAddress} accept
  }
}`;
}
