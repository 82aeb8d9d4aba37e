// Turns what went wrong in the container engine into the build's own fault, with the last lines of what it said.
import { Fault, isFault } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';

const maxTailBytes = 4096;

/** Passes output on as text, remembers its end, and stops passing it on after `maxBytes` (the build goes on). */
export class BuildOutput {
  #tail = '';
  #left: number;
  readonly #decoder = new TextDecoder();
  readonly #onLog: (text: string) => void;

  /** Less than a VM sends of its log, so that what is left out is always told. */
  constructor(onLog: (text: string) => void, maxBytes = 8 << 20) {
    this.#onLog = onLog;
    this.#left = maxBytes;
  }

  readonly add = (chunk: Buffer): void => {
    const text = this.#decoder.decode(chunk, { stream: true });
    this.#tail = (this.#tail + text).slice(-maxTailBytes);
    if (this.#left <= 0) return;
    this.#left -= chunk.length;
    this.#onLog(this.#left > 0 ? text : `${text}\n[the rest of the build's output is not kept]\n`);
  };

  /** For the log alone: not among the last words of a failure. */
  note(line: string): void {
    this.#onLog(`--- ${line}\n`);
  }

  say(line: string): void {
    this.add(Buffer.from(`${line}\n`));
  }

  /** The last lines that are not empty, safe to show. */
  lastLines(count = 12): string {
    return printable(this.#tail)
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(-count)
      .join('\n');
  }
}

// The last one is a layer that is longer than a file may be: buildah then tells only that its writer of the layer has gone.
const noSpace =
  /no space left on device|disk quota exceeded|file too large|file size limit exceeded|could not allocate (block|inode)|storing layer "[0-9a-f]+" to file: io: read\/write on closed pipe/i;

/** The fault for `error` of the step `what` ("The container build"). A cancelled build stays `aborted`. */
export function containerFailure(error: unknown, what: string, output: BuildOutput): unknown {
  if (isFault(error, 'deadline_exceeded'))
    return fault(
      'CONTAINER_BUILD_FAILED',
      `${what} did not finish within ${Number(error.facts.ms) / 1000} s. ${lastSaid(output)}`,
      error,
    );
  if (!isFault(error, 'process_failed')) return error;
  const said = `${error.facts.stderr ?? ''}\n${output.lastLines()}`;
  if (noSpace.test(said))
    return fault('DISK_STORAGE_FULL', `${what} ran out of disk space. ${lastSaid(output)}`, error);
  const how = error.facts.signal ? `was ended by ${error.facts.signal}` : 'failed';
  return fault('CONTAINER_BUILD_FAILED', `${what} ${how}. ${lastSaid(output)}`, error);
}

const lastSaid = (output: BuildOutput): string =>
  output.lastLines() ? `Its last output:\n${output.lastLines()}` : 'It said nothing.';

function fault(reason: 'CONTAINER_BUILD_FAILED' | 'DISK_STORAGE_FULL', what: string, cause: unknown): Fault {
  return new Fault('build_failed', { reason, what: what.trim() }, cause);
}
