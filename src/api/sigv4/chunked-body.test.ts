// The examples of AWS's documentation, any split of the bytes, any change of the bytes.
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isFault } from '../../lib/errors.ts';
import { ChunkedBody, type ChunkedBodyOptions } from './chunked-body.ts';
import { signingKey } from './signing-key.ts';

const claim = { date: '20130524', region: 'us-east-1', service: 's3' };
const signing = (seedSignature: string) => ({
  key: signingKey('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', claim),
  amzDate: '20130524T000000Z',
  scope: '20130524/us-east-1/s3/aws4_request',
  seedSignature,
});

const frame = (signatures: readonly string[], end: string): Buffer => {
  const data = [Buffer.alloc(65536, 'a'), Buffer.alloc(1024, 'a'), Buffer.alloc(0)];
  const chunks = data.map((bytes, i) => {
    const head = `${bytes.length.toString(16)};chunk-signature=${signatures[i]}\r\n`;
    return Buffer.concat([Buffer.from(head), bytes, Buffer.from(bytes.length ? '\r\n' : '')]);
  });
  return Buffer.concat([...chunks, Buffer.from(end)]);
};

// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
const plain = {
  options: {
    hasTrailer: false,
    trailers: [],
    decodedBytes: 66560,
    signing: signing('4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9'),
  } satisfies ChunkedBodyOptions,
  body: frame(
    [
      'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
      '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
      'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    ],
    '\r\n',
  ),
};

// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
const trailing = {
  options: {
    hasTrailer: true,
    trailers: ['crc32c'],
    decodedBytes: 66560,
    signing: signing('106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e'),
  } satisfies ChunkedBodyOptions,
  body: frame(
    [
      'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
      '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
      '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    ],
    'x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
  ),
};

const unsigned = {
  options: { hasTrailer: true, trailers: ['crc32'], decodedBytes: 9 } satisfies ChunkedBodyOptions,
  body: Buffer.from('4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n'),
};

async function decode(options: ChunkedBodyOptions, pieces: Uint8Array[]): Promise<Buffer> {
  const out: Buffer[] = [];
  const decoder = Readable.from(pieces).compose(new ChunkedBody(options));
  for await (const piece of decoder) out.push(piece);
  return Buffer.concat(out);
}

const cases = { plain, trailing, unsigned };

test.each(['plain', 'trailing'] as const)('the documented example: %s', async (name) => {
  const { options, body } = cases[name];
  expect((await decode(options, [body])).equals(Buffer.alloc(66560, 'a'))).toBe(true);
});

test('any split of the bytes decodes alike', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(sizes, async (lengths) => {
      const pieces: Buffer[] = [];
      for (let at = 0, i = 0; at < unsigned.body.length; i++) {
        const length = lengths[i % lengths.length] ?? 1;
        pieces.push(unsigned.body.subarray(at, at + length));
        at += length;
      }
      expect((await decode(unsigned.options, pieces)).toString()).toBe('123456789');
    }),
  );
});

test('a changed, missing or added byte is refused', async () => {
  const change = fc.record({
    name: fc.constantFrom('plain', 'trailing', 'unsigned'),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    how: fc.constantFrom('flip', 'remove', 'add', 'cut'),
  });
  await fc.assert(
    fc.asyncProperty(change, async ({ name, at, how }) => {
      const { options, body } = cases[name];
      const index = Math.floor(at * body.length);
      const [before, after] = [body.subarray(0, index), body.subarray(index + 1)];
      const middle = { flip: [(body[index] ?? 0) ^ 1], remove: [], add: [body[index] ?? 0, 0x37], cut: [] }[how];
      const changed = Buffer.concat([before, Buffer.from(middle), how === 'cut' ? Buffer.alloc(0) : after]);
      const result = await decode(options, [changed]).catch((error: unknown) => error);
      // A carriage return before a line feed may go missing without changing what is said.
      if (Buffer.isBuffer(result)) expect([body[index], how]).toEqual([0x0d, 'remove']);
      else expect(isFault(result, 'access_denied', 'invalid_input')).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test.each([
  ['a wrong checksum', '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n', 'BadDigest'],
  ['no checksum', '5\r\nhello\r\n0\r\n\r\n', 'MalformedTrailerError'],
  ['another trailer', '5\r\nhello\r\n0\r\nx-other:1\r\n\r\n', 'MalformedTrailerError'],
  ['no last chunk', '5\r\nhello\r\n', 'IncompleteBody'],
  ['an endless line', 'a'.repeat(5000), 'InvalidRequest'],
  ['a huge chunk size', 'fffffffffff\r\n', 'InvalidRequest'],
  ['more than declared', 'a\r\n0123456789\r\n0\r\n\r\n', 'InvalidRequest'],
  ['less than declared', '2\r\nhi\r\n0\r\nx-amz-checksum-crc32:2JMqrA==\r\n\r\n', 'IncompleteBody'],
  ['bytes after the end', '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\nmore', 'InvalidRequest'],
])('%s', async (_, text, s3Error) => {
  const options: ChunkedBodyOptions = { hasTrailer: true, trailers: ['crc32'], decodedBytes: 5 };
  await expect(decode(options, [Buffer.from(text)])).rejects.toMatchObject({ facts: { s3Error } });
});

test('an unsigned chunk in a signed body is refused', async () => {
  const body = [Buffer.from('5\r\nhello\r\n0\r\n\r\n')];
  const options = { ...plain.options, decodedBytes: 5 };
  await expect(decode(options, body)).rejects.toMatchObject({ facts: { refusal: 'signature' } });
});
