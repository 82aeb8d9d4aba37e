// Reads a question from a guest: hostile bytes. Only the plainest kind is understood; everything else is refused or not answered.
// Format: https://www.rfc-editor.org/rfc/rfc1035#section-4.1, EDNS: https://www.rfc-editor.org/rfc/rfc6891#section-6.1

export const rcodes = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
} as const;
export type Rcode = (typeof rcodes)[keyof typeof rcodes];

export interface Query {
  id: number;
  /** Lower case, the root's is empty. Bytes outside of printable ASCII, dots and backslashes are `\DDD`. */
  labels: readonly string[];
  type: number;
  /** Name, type and class as they came; case is kept, since some clients check it. */
  question: Buffer;
  /** Flags that an answer repeats and a resolver passes on: RD, AD, CD. */
  flags: number;
  edns?: { udpBytes: number; dnssec: boolean };
}

/** A question that is answered with an error at once. `question` is empty when it could not be read. */
export interface Refused {
  id: number;
  flags: number;
  question: Buffer;
  rcode: Rcode;
}

/** Longest question: a header, the longest name, and room for EDNS options, which are left out. */
export const maxQueryBytes = 512;

const headerBytes = 12;
const passedFlags = 0x0130;
const opcode = 0x7800;
const optType = 41;
const dnssecFlag = 0x8000;

/** The question in `message`; what is wrong with it; or undefined for what gets no answer at all. */
export function readQuery(message: Buffer): Query | Refused | undefined {
  if (message.length < headerBytes || message.length > maxQueryBytes) return undefined;
  const [id = 0, word = 0, ...counts] = [0, 2, 4, 6, 8, 10].map((at) => message.readUInt16BE(at));
  // An answer is never answered: two resolvers would talk to each other for ever.
  if (word & 0x8000) return undefined;
  const flags = word & (passedFlags | opcode);
  const refused = (rcode: Rcode, question: Buffer = Buffer.alloc(0)): Refused => ({ id, flags, question, rcode });
  if (word & opcode) return refused(rcodes.notImplemented);
  const [questions = 0, answers = 0, authorities = 0, additional = 0] = counts;
  if (questions !== 1 || answers !== 0 || authorities !== 0 || additional > 1) return refused(rcodes.formatError);
  const name = readName(message, headerBytes);
  if (!name || name.end + 4 > message.length) return refused(rcodes.formatError);
  const question = Buffer.from(message.subarray(headerBytes, name.end + 4));
  const type = message.readUInt16BE(name.end);
  if (message.readUInt16BE(name.end + 2) !== 1 || isForbidden(type)) return refused(rcodes.refused, question);
  const rest = message.subarray(name.end + 4);
  const query = { id, labels: name.labels, type, question, flags };
  if (additional === 0) return rest.length === 0 ? query : refused(rcodes.formatError, question);
  const edns = readEdns(rest);
  return edns ? { ...query, edns } : refused(rcodes.formatError, question);
}

/** Types that are no data of a name: OPT, and the meta types (transfers, keys of transactions) but ANY. */
function isForbidden(type: number): boolean {
  return type === 0 || type === optType || (type >= 128 && type < 255);
}

function readName(message: Buffer, start: number): { labels: string[]; end: number } | undefined {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = message[at];
    // Also refuses compression: a question has nothing to point at.
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) return at - start <= 255 ? { labels, end: at } : undefined;
    if (at + length > message.length) return undefined;
    labels.push(textOf(message.subarray(at, at + length)));
    at += length;
  }
}

function textOf(label: Buffer): string {
  const inDigits = (character: string): string => `\\${String(character.charCodeAt(0)).padStart(3, '0')}`;
  return label
    .toString('latin1')
    .replace(/[^!-~]|[.\\]/g, inDigits)
    .toLowerCase();
}

/** The one extra record that may be there. Its options are checked for nothing but their length and go no further. */
function readEdns(record: Buffer): Query['edns'] | undefined {
  if (record.length < 11 || record[0] !== 0 || record.readUInt16BE(1) !== optType) return undefined;
  const version = record[6];
  if (version !== 0 || record.readUInt16BE(9) !== record.length - 11) return undefined;
  return { udpBytes: record.readUInt16BE(3), dnssec: (record.readUInt16BE(7) & dnssecFlag) !== 0 };
}
