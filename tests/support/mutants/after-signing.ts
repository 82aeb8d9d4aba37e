// Who signs, and changes that the signature does not cover: the door meets them.
import fc from 'fast-check';
import type { Credentials, SigningOptions } from '../signed-request.ts';
import { splice } from './before-signing.ts';

export interface Signing extends SigningOptions {
  credentials?: Partial<Credentials>;
}
/** Mostly as it should be. */
export const signing: fc.Arbitrary<Signing> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({}) },
  fc.constantFrom<Signing>(
    { region: 'eu-west-1' },
    { service: 'ec2' },
    { nowMs: 0 },
    { nowMs: 8e12 },
    { credentials: { accessKeyId: 'AKIANOBODY' } },
    { credentials: { secretAccessKey: 'guess' } },
  ),
);

/** What happens to the bytes. Authorization is the last header where there is one, Host in a presigned request. */
export type AfterSigning = {
  what: string;
  mustAnswer: boolean;
  apply(headers: string[]): string[];
  raw(bytes: Buffer): Buffer;
};
const same = { mustAnswer: true, apply: (headers: string[]) => headers, raw: (bytes: Buffer) => bytes };
export const afterSigning: fc.Arbitrary<AfterSigning> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ ...same, what: '' }) },
  fc.tuple(fc.nat(), fc.nat(8), fc.stringMatching(/^[ -~]{0,8}$/)).map(([at, remove, insert]) => ({
    ...same,
    what: 'the last header',
    apply: (headers: string[]) => headers.with(-1, splice(headers.at(-1) ?? '', at, remove, insert)),
  })),
  fc.nat().map((pick) => ({
    ...same,
    what: 'a header less',
    apply: (headers: string[]) => headers.toSpliced((pick % (headers.length / 2)) * 2, 2),
    mustAnswer: false,
  })),
  fc.nat().map((pick) => ({
    ...same,
    what: 'a header twice',
    apply: (headers: string[]) => [...headers, ...headers.slice((pick % (headers.length / 2)) * 2).slice(0, 2)],
    mustAnswer: false,
  })),
  fc.nat().map((at) => ({
    ...same,
    what: 'cut',
    mustAnswer: false,
    raw: (bytes: Buffer) => bytes.subarray(0, at % bytes.length),
  })),
  fc.tuple(fc.nat(), fc.nat(255)).map(([at, byte]) => ({
    ...same,
    what: 'a byte',
    mustAnswer: false,
    raw: (bytes: Buffer) => bytes.map((old, i) => (i === at % bytes.length ? byte : old)) as Buffer,
  })),
  fc.constant({ ...same, what: 'pipelined', raw: (bytes: Buffer) => Buffer.concat([bytes, bytes, bytes]) }),
  fc.uint8Array({ minLength: 1, maxLength: 100 }).map((more) => ({
    ...same,
    what: 'bytes behind',
    mustAnswer: false,
    raw: (bytes: Buffer) => Buffer.concat([bytes, more]),
  })),
);
