// Which addresses the links between host and slots use: a /16 that nothing else on this host uses, two addresses for each slot.
import { Fault } from '../lib/errors.ts';
import { formatAddress, overlap, parseBlock } from './blocks.ts';

/** Places that no guest ever reaches, whatever else is allowed. */
export const unreachableForGuests: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
];

/** Indices run from 0 up to this, exclusive: two addresses each fill a /16, but for the pair at its end, where the resolver is. */
export const slotIndexLimit = 32_767;

/** The ends of the link of one slot, a /31. */
export interface SlotLink {
  hostAddress: string;
  slotAddress: string;
}

/** Addresses of slot `index` inside `range` (a /16 such as `10.112.0.0/16`). */
export function slotLink(range: string, index: number): SlotLink {
  const { first } = parseBlock(range);
  return { hostAddress: formatAddress(first + 2 * index), slotAddress: formatAddress(first + 2 * index + 1) };
}

/** Where the resolver of a server listens, on the host's side. */
export function resolverAddress(range: string): string {
  return formatAddress(parseBlock(range).last - 1);
}

/** Which slot has `address` at its end of the link; undefined for anything else. */
export function slotAt(range: string, address: string): number | undefined {
  const offset = parseBlock(address).first - parseBlock(range).first;
  const index = (offset - 1) / 2;
  return Number.isInteger(index) && index >= 0 && index < slotIndexLimit ? index : undefined;
}

/** The first /16 that overlaps none of `routes` (CIDR or bare addresses; `default` is ignored): the wished one, else one of 10.112–10.127. */
export function chooseRange(routes: readonly string[], wished = '10.112.0.0/16'): string {
  if (!/^(10|172|192|100)\.\d{1,3}\.0\.0\/16$/.test(wished)) {
    throw new Fault('invalid_input', { what: `The range of the slots must be a private /16, not ${wished}.` });
  }
  const taken = routes.filter((route) => route !== 'default' && !route.endsWith('/0')).map(parseBlock);
  const candidates = [wished, ...Array.from({ length: 16 }, (_, i) => `10.${112 + i}.0.0/16`)];
  const free = candidates.find((candidate) => {
    const block = parseBlock(candidate);
    return !taken.some((other) => overlap(block, other));
  });
  if (free) return free;
  throw new Fault('conflict', {
    what: 'Every network from 10.112.0.0/16 to 10.127.0.0/16 is in use on this host. Configure a free private /16 for the slots.',
  });
}
