// Blocks of IPv4 addresses as numbers, and back.
import { Fault } from '../lib/errors.ts';

export interface Block {
  first: number;
  last: number;
}

/** Reads `10.0.0.0/8` or a bare address. Throws `invalid_input`. */
export function parseBlock(text: string): Block {
  const [address = '', length = '32', ...rest] = text.split('/');
  const octets = address.split('.');
  const valid =
    octets.length <= 4 &&
    octets.every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) <= 255) &&
    /^\d{1,2}$/.test(length) &&
    Number(length) <= 32 &&
    rest.length === 0;
  if (!valid) throw new Fault('invalid_input', { what: `${text} is not an IPv4 network.` });
  const value = [0, 1, 2, 3].reduce((sum, i) => sum * 256 + Number(octets[i] ?? 0), 0);
  const size = 2 ** (32 - Number(length));
  const first = value - (value % size);
  return { first, last: first + size - 1 };
}

export const overlap = (a: Block, b: Block): boolean => a.first <= b.last && b.first <= a.last;

export const holds = (outer: Block, inner: Block): boolean => outer.first <= inner.first && inner.last <= outer.last;

export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
