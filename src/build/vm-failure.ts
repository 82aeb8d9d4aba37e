// Why a build in a VM failed, in the words that the same failure has on the host.
import { Fault } from '../lib/errors.ts';
import type { StepFailure } from './builder-protocol.ts';
import { type BuildOutput, containerFailure } from './container-failure.ts';
import type { ImageUse } from './dockerfile.ts';
import { exportFailure } from './export-disk.ts';
import { couldNotPull, imageUnavailable, noSuchLocalImage } from './pull-images.ts';

export interface FailureContext {
  output: BuildOutput;
  /** What the Dockerfile builds on; empty before it was read. */
  images: readonly ImageUse[];
  diskMib: number;
  timeoutMs: number;
}

/** What the VM reports is its word alone: it chooses among known reasons, and names only images of the Dockerfile. */
export function vmFailure(failed: StepFailure, context: FailureContext): unknown {
  const { output } = context;
  if (failed.late) return tooLate(context);
  if (failed.step === 'archive')
    return fault(failed.reason ?? 'ARCHIVE_INVALID', failed.what ?? 'The zip cannot be read.');
  if (failed.step === 'pull') return pullFailure(failed, context);
  const { said: stderr = '', exitCode = -1, signal } = failed;
  const error = new Fault('process_failed', { command: failed.step, exitCode, stderr, ...(signal ? { signal } : {}) });
  if (failed.step === 'build') return containerFailure(error, 'The container build', output);
  if (failed.step === 'export') return exportFailure(error, context.diskMib, output);
  return fault('INTERNAL_PLATFORM_ERROR', `The VM of the build failed at "${failed.step}": ${failed.what ?? ''}`);
}

function pullFailure(failed: StepFailure, { images, output }: FailureContext): unknown {
  const image = images.find(({ name }) => name === failed.image);
  if (!image) return fault('CONTAINER_BUILD_FAILED', `An image could not be pulled. ${output.lastLines()}`);
  const why = image.name.startsWith('localhost/') ? noSuchLocalImage : couldNotPull(failed.said ?? '');
  return imageUnavailable(image, why, failed.local ?? []);
}

/** The fault for a build that ran into its deadline. */
export const tooLate = ({ timeoutMs: ms, output }: FailureContext): unknown =>
  containerFailure(new Fault('deadline_exceeded', { what: 'The build', ms }), 'The container build', output);

const fault = (reason: string, what: string): Fault => new Fault('build_failed', { reason, what });
