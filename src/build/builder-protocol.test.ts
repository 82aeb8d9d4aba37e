import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isFault } from '../lib/errors.ts';
import { type BuilderMessage, readMessages } from './builder-protocol.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function read(chunks: Buffer[], limits?: { lineBytes: number; totalBytes: number }): Promise<BuilderMessage[]> {
  const found: BuilderMessage[] = [];
  for await (const one of readMessages(Readable.from(chunks), limits)) found.push(one);
  return found;
}

/** `bytes` cut at these places. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

const honest = fc.oneof(
  fc.string().map((text) => ({ log: base64(text) })),
  fc.nat().map((n) => ({ unpacked: { entries: n, unpackedBytes: n, dockerfile: base64('FROM x') } })),
  fc.string().map((what) => ({ failed: { step: 'build', said: what, exitCode: 1 } })),
  fc.nat().map((n) => ({ built: { imageId: 'x', inspected: base64('{}'), codeInstallBytes: n } })),
);

test('messages survive any cutting of the stream', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(honest), fc.array(fc.nat()), async (sent, places) => {
      const bytes = Buffer.from(sent.map((one) => `${JSON.stringify(one)}\n`).join(''));
      expect(await read(cut(bytes, places))).toEqual(sent);
    }),
  );
});

test('whatever comes, the outcome is messages or a clear fault', async () => {
  const lies = fc.oneof(fc.json(), fc.string(), fc.constantFrom('{}', '{"log":1}', '{"log":"%%"}', '[]', 'null'));
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          lies,
          honest.map((one) => JSON.stringify(one)),
        ),
      ),
      async (lines) => {
        try {
          for (const one of await read([Buffer.from(`${lines.join('\n')}\n`)]))
            expect(Object.keys(one)).toHaveLength(1);
        } catch (error) {
          expect(isFault(error, 'guest_failed')).toBe(true);
        }
      },
    ),
  );
});

test.each([
  ['an unknown step', { failed: { step: 'rm -rf' } }],
  ['an unknown reason', { failed: { step: 'archive', reason: 'S3_ACCESS_DENIED' } }],
  ['one member too many', { log: '', built: { imageId: '', inspected: '', codeInstallBytes: 0 } }],
  ['a negative size', { built: { imageId: '', inspected: '', codeInstallBytes: -1 } }],
  ['a Dockerfile that is too long', { unpacked: { entries: 1, unpackedBytes: 1, dockerfile: 'A'.repeat(1_398_108) } }],
])('refused: %s', async (_, lie) => {
  await expect(read([Buffer.from(`${JSON.stringify(lie)}\n`)])).rejects.toMatchObject({ code: 'guest_failed' });
});

test('what the VM says for people can be shown', async () => {
  const said = '\u001b[2J\u001b]0;owned\u0007one\r\ntwo\u009b';
  const failed = { step: 'pull', said, what: said, local: ['\u202ea'] };
  expect(await read([Buffer.from(`${JSON.stringify({ failed })}\n`)])).toEqual([
    { failed: { step: 'pull', said: 'one\ntwo\ufffd', what: 'one\ntwo\ufffd', local: ['\ufffda'] } },
  ]);
});

test('a line without end and a flood are cut off', async () => {
  const limits = { lineBytes: 100, totalBytes: 1000 };
  const line = Buffer.from(`${JSON.stringify({ log: base64('hello') })}\n`);
  expect(
    await read(
      Array.from({ length: 60 }, () => line),
      limits,
    ).catch(String),
  ).toContain('more than 1000 bytes');
  expect(await read([Buffer.alloc(101, 'x')], limits).catch(String)).toContain('line of more than 100 bytes');
  expect(await read([Buffer.from(`${' '.repeat(101)}\n`)], limits).catch(String)).toContain('line of more than 100');
  expect(
    await read(
      Array.from({ length: 9 }, () => line),
      limits,
    ),
  ).toHaveLength(9);
});
