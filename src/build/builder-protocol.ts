// What the host and the program in a builder VM say to each other: docs/guest-protocol.md, "Builder". The VM is hostile: lines and
// their sum are limited, and every line has to be one of the known messages.
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { Fault } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';
import type { ArchiveLimits } from './archive.ts';
import type { ImageUse } from './dockerfile.ts';

export interface BuilderOrder {
  zipBytes: number;
  limits: ArchiveLimits;
  timeoutMs: number;
  maxFileBytes: number;
  maxDockerfileBytes: number;
  buildArguments: readonly string[];
  diskArguments: readonly string[];
  registries: string;
  authorities: string;
}

/** `stop`: the Dockerfile cannot be built; the VM tidies up and ends. */
export type BuilderAnswer = { stop: true } | { dockerfile: string; images: readonly ImageUse[] };

export interface LineLimits {
  lineBytes: number;
  totalBytes: number;
}

// The longest honest line holds a megabyte as base64; the log ends after 16 MiB.
export const lineLimits: LineLimits = { lineBytes: 2 << 20, totalBytes: 32 << 20 };

const count = z.number().int().nonnegative();
/** Bytes as base64, at most `bytes` of them. */
const encoded = (bytes: number) => z.base64().max(Math.ceil(bytes / 3) * 4);
/** Words for people, safe to show. */
const words = (characters: number) => z.string().max(characters).transform(printable);
const text = words(16 << 10);

const failed = z.strictObject({
  step: z.enum(['order', 'cache', 'settings', 'host', 'archive', 'stopped', 'pull', 'build', 'export']),
  reason: z
    .enum(['ARCHIVE_INVALID', 'ARCHIVE_DOCKERFILE_NOT_FOUND', 'DISK_STORAGE_FULL', 'CONTAINER_BUILD_FAILED'])
    .optional(),
  what: text.optional(),
  said: text.optional(),
  exitCode: z.number().int().optional(),
  signal: words(32).optional(),
  late: z.boolean().optional(),
  image: z.string().max(1024).optional(),
  local: z.array(words(256)).max(64).nullish(),
});

const message = z.union([
  z.strictObject({ log: encoded(64 << 10) }),
  z.strictObject({
    unpacked: z.strictObject({ entries: count, unpackedBytes: count, dockerfile: encoded(1 << 20) }),
  }),
  z.strictObject({
    built: z.strictObject({ imageId: z.string().max(128), inspected: encoded(1 << 20), codeInstallBytes: count }),
  }),
  z.strictObject({ failed }),
]);

export type BuilderMessage = z.output<typeof message>;
export type StepFailure = z.output<typeof failed>;

/** Messages as they come. Throws `guest_failed` for what is none, and past the limits. */
export async function* readMessages(stream: Readable, limits: LineLimits = lineLimits): AsyncGenerator<BuilderMessage> {
  for await (const line of readLines(stream, limits)) {
    let parsed: ReturnType<typeof message.safeParse>;
    try {
      parsed = message.safeParse(JSON.parse(line));
    } catch (cause) {
      throw unexpected('sent a line that is not JSON', cause);
    }
    if (!parsed.success) throw unexpected('sent a message of an unknown form', parsed.error);
    yield parsed.data;
  }
}

async function* readLines(stream: Readable, limits: LineLimits): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let total = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > limits.totalBytes) throw unexpected(`sent more than ${limits.totalBytes} bytes`);
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      if (restBytes + end - from > limits.lineBytes) throw tooLong(limits);
      yield Buffer.concat([...rest, chunk.subarray(from, end)]).toString('utf8');
      rest = [];
      restBytes = 0;
      from = end + 1;
    }
    rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    if (restBytes > limits.lineBytes) throw tooLong(limits);
  }
}

const tooLong = (limits: LineLimits): Fault => unexpected(`sent a line of more than ${limits.lineBytes} bytes`);

const unexpected = (what: string, cause?: unknown): Fault =>
  new Fault('guest_failed', { what: `that builds the image ${what}` }, cause);
