// Questions of guests, hostile ones above all.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maxQueryBytes, type Query, rcodes, readQuery } from './query.ts';
import { answers, forwarded, ownAnswer, relayed } from './reply.ts';
import { query } from './test-query.ts';

const plain = query('www.Example.com', 1);
const edns = Buffer.concat([query('a.b', 28, { additional: 1 }), Buffer.from('00002910000000800000040000aabb', 'hex')]);
edns.writeUInt16BE(4, edns.length - 6);

const rcodeFor = (message: Buffer) => {
  const read = readQuery(message);
  return read && ('rcode' in read ? read.rcode : 'asked');
};

test('a plain question', () => {
  expect(readQuery(plain)).toMatchObject({ id: 7, labels: ['www', 'example', 'com'], type: 1, flags: 0x0100 });
  expect(readQuery(query('', 2))).toMatchObject({ labels: [], type: 2 });
  expect(readQuery(edns)).toMatchObject({ type: 28, edns: { udpBytes: 4096, dnssec: true } });
});

test('bytes that are no text stay apart from those that are', () => {
  const odd = Buffer.concat([plain.subarray(0, 12), Buffer.from([4, 0x2e, 0x5c, 0x00, 0xff, 0, 0, 1, 0, 1])]);
  expect(readQuery(odd)).toMatchObject({ labels: ['\\046\\092\\000\\255'] });
});

test.each<[string, Buffer, unknown]>([
  ['an answer', query('a.b', 1, { flags: 0x8180 }), undefined],
  ['too short', plain.subarray(0, 11), undefined],
  ['too long', Buffer.concat([plain, Buffer.alloc(maxQueryBytes)]), undefined],
  ['an update', query('a.b', 1, { flags: 0x2800 }), rcodes.notImplemented],
  ['no question', query('a.b', 1, { questions: 0 }), rcodes.formatError],
  ['two questions', query('a.b', 1, { questions: 2 }), rcodes.formatError],
  ['records where none belong', query('a.b', 1, { answers: 1 }), rcodes.formatError],
  ['an extra record that is not there', query('a.b', 1, { additional: 1 }), rcodes.formatError],
  ['bytes behind the question', Buffer.concat([plain, Buffer.from([0])]), rcodes.formatError],
  ['a name without an end', plain.subarray(0, 20), rcodes.formatError],
  ['a compressed name', Buffer.concat([plain.subarray(0, 12), Buffer.from('c00c00010001', 'hex')]), rcodes.formatError],
  ['a name that is too long', query(Array(50).fill('abcdef').join('.'), 1), rcodes.formatError],
  ['another class', query('version.bind', 16, { class: 3 }), rcodes.refused],
  ['a zone transfer', query('example.com', 252), rcodes.refused],
  [
    'a later version of EDNS',
    Buffer.concat([query('a.b', 1, { additional: 1 }), Buffer.from('0000290200000100000000', 'hex')]),
    rcodes.formatError,
  ],
])('%s', (_, message, expected) => {
  expect(rcodeFor(message)).toBe(expected);
});

test('any bytes: no error is thrown, and what goes on is rebuilt from what was understood', () => {
  const header = fc
    .constantFrom('000701000001000000000000', '000701000001000000000001')
    .map((hex) => Buffer.from(hex, 'hex'));
  const tail = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  const mutated = fc.tuple(fc.nat(edns.length - 1), fc.nat(255)).map(([at, value]) => {
    const copy = Buffer.from(edns);
    copy[at] = value;
    return copy;
  });
  const message = fc.oneof(
    tail,
    fc.tuple(header, tail).map((parts) => Buffer.concat(parts)),
    mutated,
  );
  fc.assert(
    fc.property(message, (bytes) => {
      const read = readQuery(bytes);
      if (!read) return;
      if ('rcode' in read) {
        expect(ownAnswer(read, read.rcode).readUInt16BE(0)).toBe(bytes.readUInt16BE(0));
        return;
      }
      const out = forwarded(read, 1);
      expect(out.length).toBe(12 + read.question.length + (read.edns ? 11 : 0));
      expect(readQuery(out)).toMatchObject({ labels: read.labels, type: read.type });
    }),
    { numRuns: 5000 },
  );
});

test('only the answer to the question counts', () => {
  const asked = readQuery(plain) as Query;
  const answer = forwarded(asked, 500);
  answer.writeUInt16BE(0x8180, 2);
  expect(answers(answer, asked, 500)).toBe(true);
  const otherCase = Buffer.from(answer);
  otherCase.write('WWW', 13, 'latin1');
  expect(answers(otherCase, asked, 500)).toBe(true);
  expect(answers(answer, asked, 501)).toBe(false);
  expect(answers(forwarded(asked, 500), asked, 500)).toBe(false);
  for (let at = 13; at < answer.length; at++) {
    const other = Buffer.from(answer);
    other[at] = (other[at] ?? 0) ^ 1;
    expect(answers(other, asked, 500)).toBe(false);
    expect(answers(answer.subarray(0, at), asked, 500)).toBe(false);
  }
});

test('an answer goes on under the id of the guest, cut when it asked over UDP and it is too long', () => {
  const asked = readQuery(plain) as Query;
  const long = Buffer.concat([forwarded(asked, 500), Buffer.alloc(600)]);
  expect(relayed(long, asked, true)).toHaveLength(long.length);
  expect(relayed(long, asked, true).readUInt16BE(0)).toBe(7);
  const cut = relayed(long, asked, false);
  expect(cut).toHaveLength(plain.length);
  expect(cut.readUInt16BE(2) & 0x0200).not.toBe(0);
  expect(relayed(long, { ...asked, edns: { udpBytes: 4096, dnssec: false } }, false)).toHaveLength(long.length);
});
