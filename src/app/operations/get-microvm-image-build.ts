// GetMicrovmImageBuild: state, reason and snapshot sizes of one build.
import type { GetMicrovmImageBuildInput, GetMicrovmImageBuildOutput } from '../../contract/generated/operations.ts';
import { Fault } from '../../lib/errors.ts';
import type { BuildRow } from '../../store/tables.ts';
import { buildAnswer } from '../answers.ts';
import type { AppContext } from '../context.ts';
import { requireBuild, requireVersion } from '../require-version.ts';
import type { Caller } from '../settings.ts';

export async function getMicrovmImageBuild(
  app: AppContext,
  caller: Caller,
  input: GetMicrovmImageBuildInput,
): Promise<GetMicrovmImageBuildOutput> {
  const { version } = await requireVersion(app, caller, input);
  const build = await requireBuild(app, caller, input.buildId);
  if (build.imageArn !== version.imageArn || build.version !== version.version) {
    const what = `Build ${input.buildId} not found`;
    throw new Fault('not_found', { what, resourceType: 'microvm-image-build', resourceId: input.buildId });
  }
  return { ...buildAnswer(build), snapshotBuild: snapshotOf(build) };
}

function snapshotOf(build: BuildRow): GetMicrovmImageBuildOutput['snapshotBuild'] {
  // All three of a success, the code alone when what failed came after the container was built, none before that.
  if (build.codeInstallBytes === null) return undefined;
  return {
    memorySnapshotSizeInBytes: build.memorySnapshotBytes ?? undefined,
    codeInstallSizeInBytes: build.codeInstallBytes ?? undefined,
    diskSnapshotSizeInBytes: build.diskSnapshotBytes ?? undefined,
  };
}
