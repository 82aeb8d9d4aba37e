// The host's part of a build in a VM: starts the program there, hands it the order, judges the Dockerfile, and takes the result.
import type { Duplex } from 'node:stream';
import { pause } from '../lib/deadline.ts';
import { Fault, isFault } from '../lib/errors.ts';
import type { Guest, Machine } from '../vmm/driver.ts';
import { type BuilderAnswer, type BuilderOrder, readMessages } from './builder-protocol.ts';
import type { BuildOutput } from './container-failure.ts';
import { checkDockerfile, type ImageAliases, type ImageUse } from './dockerfile.ts';
import { type FailureContext, tooLate, vmFailure } from './vm-failure.ts';

/** One build as its VM is told of it. */
export interface VmBuild {
  question: BuilderOrder;
  output: BuildOutput;
  diskMib: number;
  memoryMib: number;
  imageAliases: ImageAliases;
}

/** How the VM said that it is done; its cache is whole then. */
export type VmEnding = { fault: unknown } | { inspected: string; codeInstallBytes: number };

const program = '/usr/local/bin/waterbear-builder';
const port = 8080;
const pollMs = 50;
/** From a broken connection until the end of the VM is known. */
const endMs = 2_000;

/**
 * Resolves with the VM's last word. Rejects with `build_failed` when it has none: it ended, broke the rules, or `deadline` passed; with
 * `aborted` on `signal`.
 */
export async function directBuild(
  machine: Machine,
  build: VmBuild,
  deadline: AbortSignal,
  signal: AbortSignal,
): Promise<VmEnding> {
  const stop = AbortSignal.any([deadline, signal]);
  try {
    const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' };
    const how = { environment, workingDirectory: '/', user: '', allCapabilities: true };
    await machine.guest.start({ argv: [program], ...how });
    const stream = await openSoon(machine.guest, stop);
    const onStop = (): void => void stream.destroy(new Fault('aborted', { what: 'The build' }));
    stop.addEventListener('abort', onStop, { once: true });
    try {
      if (stop.aborted) onStop();
      return await converse(stream, build);
    } finally {
      stop.removeEventListener('abort', onStop);
      stream.destroy();
    }
  } catch (error) {
    if (signal.aborted) throw new Fault('aborted', { what: 'The build' }, error);
    if (deadline.aborted) throw tooLate(contextOf(build, []));
    throw await withoutAnswer(machine, build, error);
  }
}

/** The program listens a moment after it was started. */
async function openSoon(guest: Guest, stop: AbortSignal): Promise<Duplex> {
  for (;;) {
    try {
      return await guest.open(port, stop);
    } catch (error) {
      if (!isFault(error, 'guest_failed') || error.facts.what !== `has nothing listening on port ${port}`) throw error;
      await pause(pollMs, stop);
    }
  }
}

/** The rules of the conversation, on any stream. Throws `guest_failed` when the other side breaks them. */
export async function converse(stream: Duplex, build: VmBuild): Promise<VmEnding> {
  stream.on('error', () => {});
  const send = (line: BuilderOrder | BuilderAnswer): void => void stream.write(`${JSON.stringify(line)}\n`);
  let images: readonly ImageUse[] | undefined;
  let refusal: unknown;
  send(build.question);
  for await (const said of readMessages(stream)) {
    if ('log' in said) build.output.add(Buffer.from(said.log, 'base64'));
    else if ('unpacked' in said) {
      if (images) throw outOfTurn('unpacked twice');
      const { entries, unpackedBytes, dockerfile } = said.unpacked;
      build.output.note(`the zip holds ${entries} entries, ${unpackedBytes} bytes`);
      const answer = judge(Buffer.from(dockerfile, 'base64').toString('utf8'), build.imageAliases);
      images = answer.images;
      refusal = answer.refusal;
      send(answer.line);
    } else if ('failed' in said) {
      if (refusal !== undefined) return { fault: refusal };
      return { fault: vmFailure(said.failed, contextOf(build, images ?? [])) };
    } else {
      if (!images || refusal !== undefined) throw outOfTurn('built what it was not told to build');
      const { inspected, codeInstallBytes } = said.built;
      return { inspected: Buffer.from(inspected, 'base64').toString('utf8'), codeInstallBytes };
    }
  }
  throw outOfTurn('ended the conversation');
}

interface Judgement {
  line: BuilderAnswer;
  images: readonly ImageUse[];
  refusal?: unknown;
}

function judge(dockerfile: string, aliases: ImageAliases): Judgement {
  try {
    const { text, images } = checkDockerfile(dockerfile, aliases);
    return { line: { dockerfile: Buffer.from(text).toString('base64'), images }, images };
  } catch (refusal) {
    return { line: { stop: true }, images: [], refusal };
  }
}

const contextOf = ({ output, diskMib, question }: VmBuild, images: readonly ImageUse[]): FailureContext => ({
  output,
  images,
  diskMib,
  timeoutMs: question.timeoutMs,
});

const outOfTurn = (what: string): Fault => new Fault('guest_failed', { what: `that builds the image ${what}` });

/** What to tell when the VM did not say how the build went. */
async function withoutAnswer(machine: Machine, build: VmBuild, error: unknown): Promise<unknown> {
  const end = await Promise.race([machine.ended, pause(endMs).then(() => undefined)]);
  const fail = (reason: string, what: string): Fault => new Fault('build_failed', { reason, what }, error);
  if (end?.cause === 'vmm_died') return fail('INTERNAL_PLATFORM_ERROR', end.what);
  const said = build.output.lastLines();
  const last = said ? ` Its last output:\n${said}` : '';
  if (end) {
    const memory = `it has ${build.memoryMib} MiB of memory.`;
    return fail(
      'CONTAINER_BUILD_FAILED',
      `The VM of the build ended before the build did (${end.what}); ${memory}${last}`,
    );
  }
  if (!isFault(error, 'guest_failed')) return error;
  return fail('CONTAINER_BUILD_FAILED', `The build gave no proper answer. ${error.message}${last}`);
}
