// ListMicrovmImageBuilds: the builds of one version.
import type { ListMicrovmImageBuildsInput, ListMicrovmImageBuildsOutput } from '../../contract/generated/operations.ts';
import { listBuilds } from '../../store/builds.ts';
import { buildAnswer } from '../answers.ts';
import type { AppContext } from '../context.ts';
import { pageOf } from '../page.ts';
import { requireVersion } from '../require-version.ts';
import type { Caller } from '../settings.ts';

export async function listMicrovmImageBuilds(
  app: AppContext,
  caller: Caller,
  input: ListMicrovmImageBuildsInput,
): Promise<ListMicrovmImageBuildsOutput> {
  const { version } = await requireVersion(app, caller, input);
  // ARM_64 means "the architecture of this host" here as it does on creation.
  const architecture =
    app.settings.limits.anyArchitecture && input.architecture === 'ARM_64' ? undefined : input.architecture;
  const matches = (asked: string | undefined, actual: string): boolean => asked === undefined || asked === actual;
  const builds = (await listBuilds(app.db, version.imageArn, version.version)).map(buildAnswer);
  const listing = { caller, operation: 'ListMicrovmImageBuilds', input };
  return pageOf(
    app,
    listing,
    builds.filter(
      (build) =>
        matches(architecture, build.architecture) &&
        matches(input.chipset, build.chipset) &&
        matches(input.chipsetGeneration, build.chipsetGeneration),
    ),
  );
}
