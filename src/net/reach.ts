// What the guests of one server may reach, and the check of what an operator allows on top.
import { networkInterfaces } from 'node:os';
import { Fault } from '../lib/errors.ts';
import { formatAddress, holds, overlap, parseBlock } from './blocks.ts';
import { guestNetwork } from './slot.ts';

export type Egress = 'internet' | 'none';

/** Where our resolver listens. Not on 53, which a name server of the host's may have taken on every address. */
export interface ResolverPlace {
  address: string;
  udpPort: number;
  tcpPort: number;
}

export interface Reach {
  egress: Egress;
  /** UDP to the outside; TCP always. */
  udp: boolean;
  /** Private networks that guests may reach, CIDR. */
  allowedRanges: readonly string[];
  /** Absent without egress: then there are no names either. */
  resolver?: ResolverPlace | undefined;
}

/** Networks that may be allowed: private use (RFC 1918) and shared address space (RFC 6598). */
const allowable = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'];

const refuse = (range: string, why: string, next: string): Fault =>
  new Fault('invalid_input', { what: `Guests cannot be allowed to reach ${range}: ${why}. ${next}` });

/** The ranges, in canonical form and none inside another (the packet filter wants them so). Throws `invalid_input` that names the range and what is wrong with it. */
export function checkAllowedRanges(ranges: readonly string[], own: readonly string[] = hostAddresses()): string[] {
  const link = parseBlock(`${guestNetwork.gatewayAddress}/${guestNetwork.prefixLength}`);
  const blocks = ranges.map((range) => {
    const block = parseBlock(range);
    if (!allowable.some((outer) => holds(parseBlock(outer), block))) {
      throw refuse(range, 'it is not inside a private network', `Give a part of ${allowable.join(', ')}.`);
    }
    if (overlap(block, link)) {
      throw refuse(range, `it holds ${guestNetwork.guestAddress}, the address of every guest`, 'Give a smaller range.');
    }
    if (block.first === block.last && own.includes(formatAddress(block.first))) {
      throw refuse(range, 'it is an address of this host', 'Run what guests should reach on another machine.');
    }
    return block;
  });
  const outermost = blocks.filter(
    (block, i) => !blocks.some((other, j) => i !== j && holds(other, block) && !(holds(block, other) && i < j)),
  );
  return outermost.map(({ first, last }) => `${formatAddress(first)}/${32 - Math.log2(last - first + 1)}`);
}

function hostAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}
