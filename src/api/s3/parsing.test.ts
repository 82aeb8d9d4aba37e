// What the endpoint reads from requests besides signatures: target, range, XML.
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { isFault } from '../../lib/errors.ts';
import { detectTarget } from './detect.ts';
import { dispatch } from './dispatch.ts';
import { parseRange } from './range.ts';
import { VerifiedBody } from './verified-body.ts';
import { readXml, xmlList, xmlText } from './xml-read.ts';
import { xmlDocument } from './xml-write.ts';

test.each([
  ['h', '/', { bucket: '', key: '' }],
  ['h', '/bucket', { bucket: 'bucket', key: '' }],
  ['h:80', '/bucket/', { bucket: 'bucket', key: '' }],
  ['h', '/bucket//a/../%2E%2e/%C3%BC+', { bucket: 'bucket', key: '/a/../../ü+' }],
  ['bucket.s3.localhost:4566', '/a/b', { bucket: 'bucket', key: 'a/b' }],
  ['My.Bucket.S3.localhost', '/', { bucket: 'my.bucket', key: '' }],
  ['s3.localhost', '/bucket/k', { bucket: 'bucket', key: 'k' }],
])('target of %s%s', (host, path, target) => {
  expect(detectTarget(host, path, ['s3.localhost'])).toEqual(target);
});

test.each([
  '/bucket/%',
  '/bucket/%ff',
  '*',
  'http://x/y',
  '/../x',
  '/Bucket/x',
  '/b/x',
  '//x',
  `/bucket/${'x'.repeat(1025)}`,
])('no target in %s', (path) => {
  expect(() => detectTarget('h', path, [])).toThrow(expect.objectContaining({ code: 'invalid_input' }));
});

test('a range is what slicing gives, or refused when it begins past the end', () => {
  const size = fc.integer({ min: 0, max: 50 });
  const bound = fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined });
  fc.assert(
    fc.property(size, bound, bound, (bytes, from, to) => {
      const whole = Array.from({ length: bytes }, (_, i) => i);
      const read = (): number[] => {
        const range = parseRange(`bytes=${from ?? ''}-${to ?? ''}`, bytes);
        return range ? whole.slice(range.start, range.end + 1) : whole;
      };
      const isUnreadable =
        (from === undefined && to === undefined) || (from !== undefined && to !== undefined && to < from);
      const isEmpty = from === undefined ? to === 0 || bytes === 0 : from >= bytes;
      const sliced = from === undefined ? whole.slice(-(to ?? 0)) : whole.slice(from, (to ?? bytes) + 1);
      if (!isUnreadable && isEmpty) expect(read).toThrow('not satisfiable');
      else expect(read()).toEqual(isUnreadable ? whole : sliced);
    }),
    { numRuns: 500 },
  );
});

test.each([undefined, '', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=a-b'])('range %s is ignored', (header) => {
  expect(parseRange(header, 10)).toBeUndefined();
});

const keys = z.object({ R: z.object({ K: xmlList(xmlText) }) });

test('any text survives being written and read', () => {
  const text = fc
    .string({ unit: 'binary', minLength: 1 })
    .filter((each) => each.isWellFormed() && !each.includes('\0'));
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 5 }), (texts) => {
      const xml = xmlDocument(
        'R',
        texts.map((each) => ['K', each] as const),
      );
      expect(readXml(xml, keys)).toEqual({ R: { K: texts } });
    }),
  );
});

test('anything else is a fault, not a crash', () => {
  const piece = fc.constantFrom(
    '<R>',
    '</R>',
    '<K>',
    '</K>',
    '<K/>',
    '<',
    '>',
    '&',
    '&#0;',
    '&#x110000;',
    'x',
    '<!--',
    '-->',
    '<?xml?>',
    '<![CDATA[',
    ']]>',
    '<!DOCTYPE a>',
    '<__proto__>',
    ' a="1"',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      (text) => {
        try {
          readXml(text, keys);
        } catch (error) {
          expect(isFault(error, 'invalid_input') && error.facts.s3Error).toBe('MalformedXML');
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test.each([
  ['GET', { bucket: 'b', key: 'k' }, 'acl'],
  ['GET', { bucket: 'b', key: '' }, 'uploads'],
  ['PUT', { bucket: 'b', key: 'k' }, 'tagging'],
  ['PUT', { bucket: 'b', key: 'k' }, 'uploadId=1'],
  ['DELETE', { bucket: 'b', key: '' }, ''],
  ['GET', { bucket: 'b', key: 'k' }, 'versionId=3'],
  ['POST', { bucket: 'b', key: '' }, ''],
  ['constructor', { bucket: '', key: '' }, ''],
])('%s %s ?%s is not implemented', (method, target, query) => {
  expect(() => dispatch(method, target, new URLSearchParams(query), {})).toThrow(
    expect.objectContaining({ facts: expect.objectContaining({ s3Error: 'NotImplemented' }) }),
  );
});

test('a body is cut off at its limit even when nothing announced its size', async () => {
  const read = (bytes: number) =>
    buffer(Readable.from([Buffer.alloc(6), Buffer.alloc(bytes - 6)]).compose(new VerifiedBody([], 10)));
  expect((await read(10)).length).toBe(10);
  await expect(read(11)).rejects.toMatchObject({ code: 'too_large' });
});
