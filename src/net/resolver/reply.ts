// Writes what goes to a name server, checks what comes back, and makes the answers that we give ourselves.
import type { Query, Rcode, Refused } from './query.ts';

/** Largest answer over UDP: fits one packet on any path. https://www.dnsflagday.net/2020/ */
const udpBytes = 1232;
const plainUdpBytes = 512;

const response = 0x8000;
const truncated = 0x0200;
const recursionDesired = 0x0100;
const recursionAvailable = 0x0080;

export interface Address {
  type: number;
  data: Buffer;
}

/** The same question under an id of ours. Nothing of the guest's is in it but the name, the type and four flags. */
export function forwarded(query: Query, id: number): Buffer {
  return message(id, query.flags | recursionDesired, query, []);
}

/** Whether `answer` is one to `forwarded(query, id)`. Names are compared without regard to case. */
export function answers(answer: Buffer, query: Query, id: number): boolean {
  const end = 12 + query.question.length;
  if (answer.length < end || answer.readUInt16BE(0) !== id || answer.readUInt16BE(4) !== 1) return false;
  if ((answer.readUInt16BE(2) & 0xf800) !== response) return false;
  const asked = answer.subarray(12, end);
  const name = query.question.length - 4;
  return (
    asked.subarray(name).equals(query.question.subarray(name)) &&
    asked.toString('latin1', 0, name).toLowerCase() === query.question.toString('latin1', 0, name).toLowerCase()
  );
}

export const isTruncated = (answer: Buffer): boolean => (answer.readUInt16BE(2) & truncated) !== 0;

export const rcodeOf = (answer: Buffer): number => answer.readUInt16BE(2) & 15;

/** `answer` as the guest gets it: under its own id, and over UDP cut down to "ask over TCP" when it is too long. */
export function relayed(answer: Buffer, query: Query, overTcp: boolean): Buffer {
  const most = Math.min(Math.max(query.edns?.udpBytes ?? 0, plainUdpBytes), udpBytes);
  if (!overTcp && answer.length > most) {
    return message(query.id, response | truncated | recursionAvailable | query.flags, query, []);
  }
  const copy = Buffer.from(answer);
  copy.writeUInt16BE(query.id, 0);
  return copy;
}

/** An answer of our own: a code, and addresses of the name that was asked for. */
export function ownAnswer(query: Query | Refused, rcode: Rcode, addresses: readonly Address[] = []): Buffer {
  return message(query.id, response | recursionAvailable | query.flags | rcode, query, addresses);
}

function message(id: number, flags: number, query: Query | Refused, addresses: readonly Address[]): Buffer {
  const edns = 'edns' in query ? query.edns : undefined;
  const header = Buffer.alloc(12);
  const counts = [query.question.length > 0 ? 1 : 0, addresses.length, 0, edns ? 1 : 0];
  for (const [i, value] of [id, flags, ...counts].entries()) header.writeUInt16BE(value, 2 * i);
  const records = addresses.map(({ type, data }) => {
    // A pointer to the name in the question; class IN; ten minutes.
    const record = Buffer.from('c00c0000000100000258', 'hex');
    record.writeUInt16BE(type, 2);
    return Buffer.concat([record, Buffer.from([0, data.length]), data]);
  });
  return Buffer.concat([header, query.question, ...records, ...(edns ? [optRecord(edns.dnssec)] : [])]);
}

function optRecord(dnssec: boolean): Buffer {
  const record = Buffer.from('0000290000000000000000', 'hex');
  record.writeUInt16BE(udpBytes, 3);
  if (dnssec) record[7] = 0x80;
  return record;
}
