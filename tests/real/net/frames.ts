// Ethernet frames as a guest would send them, and a short reading of those it gets.
import { guestNetwork } from '../../../src/net/slot.ts';

export interface Sender {
  mac?: string;
  address?: string;
  /** Of UDP. */
  port?: number;
}

const guest = { mac: guestNetwork.guestMac, address: guestNetwork.guestAddress, port: 40_000 };

/** A UDP datagram to `to`:`port`. */
export function udpFrame(to: string, port: number, content: string | Uint8Array, from: Sender = {}): Buffer {
  const { mac, address, port: own } = { ...guest, ...from };
  const payload = typeof content === 'string' ? Buffer.from(content) : content;
  const header = Buffer.alloc(8);
  header.writeUInt16BE(own, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  // A checksum of zero means none, in UDP over IPv4.
  return ethernet(mac, 0x0800, ipv4(address, to, 17, Buffer.concat([header, payload])));
}

/** The first packet of a TCP connection to `to`:`port`; with other `flags`, one from the middle of it. */
export function synFrame(to: string, port: number, from: Sender = {}, flags = 2): Buffer {
  const { mac, address } = { ...guest, ...from };
  const header = Buffer.alloc(20);
  header.writeUInt16BE(41_000, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt32BE(1000, 4);
  header.writeUInt16BE(0x5000 | flags, 12);
  header.writeUInt16BE(64_000, 14);
  const pseudo = Buffer.concat([octets(address), octets(to), Buffer.from([0, 6, 0, 20])]);
  header.writeUInt16BE(checksum(Buffer.concat([pseudo, header])), 16);
  return ethernet(mac, 0x0800, ipv4(address, to, 6, header));
}

export function pingFrame(to: string): Buffer {
  const header = Buffer.from([8, 0, 0, 0, 0, 1, 0, 1]);
  header.writeUInt16BE(checksum(header), 2);
  return ethernet(guest.mac, 0x0800, ipv4(guest.address, to, 1, header));
}

/** "`address` is at `mac`", or who has `to`. */
export function arpFrame(operation: 'request' | 'reply', mac: string, address: string, to: string): Buffer {
  const fixed = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation === 'request' ? 1 : 2]);
  return ethernet(
    guest.mac,
    0x0806,
    Buffer.concat([fixed, macBytes(mac), octets(address), Buffer.alloc(6), octets(to)]),
  );
}

/** A UDP datagram over IPv6 to all nodes. */
export function ipv6Frame(): Buffer {
  const header = Buffer.from([0x60, 0, 0, 0, 0, 8, 17, 64]);
  const from = Buffer.from('fe800000000000000057420000000002', 'hex');
  const to = Buffer.from('ff020000000000000000000000000001', 'hex');
  return ethernet(guest.mac, 0x86dd, Buffer.concat([header, from, to, Buffer.from('9c401e6100080000', 'hex')]));
}

/** What a frame is, in words: `udp 10.0.0.1:53 > 10.111.0.2:40000`, `syn …`, `syn-ack …`, `tcp …`, `pong …`, `icmp …`, `other`. */
export function describeFrame(hex: string): string {
  const frame = Buffer.from(hex, 'hex');
  if (frame.length < 34 || frame.readUInt16BE(12) !== 0x0800) return 'other';
  const ip = frame.subarray(14);
  const body = ip.subarray((ip.readUInt8(0) & 15) * 4);
  const ends = [ip.subarray(12, 16), ip.subarray(16, 20)].map((part) => [...part].join('.'));
  const protocol = ip.readUInt8(9);
  if (protocol === 1) return `${body.readUInt8(0) === 0 ? 'pong' : 'icmp'} ${ends.join(' > ')}`;
  if (protocol !== 6 && protocol !== 17) return 'other';
  const names: Record<number, string> = { 2: 'syn', 18: 'syn-ack' };
  const name = protocol === 17 ? 'udp' : (names[body.readUInt8(13) & 63] ?? 'tcp');
  return `${name} ${ends[0]}:${body.readUInt16BE(0)} > ${ends[1]}:${body.readUInt16BE(2)}`;
}

function ethernet(mac: string, type: number, payload: Buffer): Buffer {
  const kind = Buffer.from([type >> 8, type & 255]);
  return Buffer.concat([macBytes(guestNetwork.gatewayMac), macBytes(mac), kind, payload]);
}

function ipv4(from: string, to: string, protocol: number, payload: Buffer): Buffer {
  const header = Buffer.from([0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, ...octets(from), ...octets(to)]);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

function checksum(data: Buffer): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += (data[i] ?? 0) * 256 + (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const octets = (address: string): Buffer => Buffer.from(address.split('.').map(Number));
const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

/** `frame` with a VLAN tag. */
export function taggedFrame(frame: Buffer, type: number, id: number): Buffer {
  const tag = Buffer.from([type >> 8, type & 255, id >> 8, id & 255]);
  return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
}

/** `frame` with other fragment flags and offset. */
export function fragmentFrame(frame: Buffer, fragment: number): Buffer {
  const copy = Buffer.from(frame);
  copy.writeUInt16BE(fragment, 20);
  copy.writeUInt16BE(0, 24);
  copy.writeUInt16BE(checksum(copy.subarray(14, 34)), 24);
  return copy;
}

/** A UDP datagram with an IP option, a source route to `to`. */
export function optionsFrame(to: string): Buffer {
  const plain = udpFrame(to, 7777, 'odd');
  const header = Buffer.concat([plain.subarray(14, 34), Buffer.from([0x83, 7, 4]), octets(to), Buffer.from([0])]);
  const payload = plain.subarray(34);
  header[0] = 0x47;
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([plain.subarray(0, 14), header, payload]);
}
