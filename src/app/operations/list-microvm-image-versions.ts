// ListMicrovmImageVersions: newest first, each with all that GetMicrovmImageVersion says.
import type {
  ListMicrovmImageVersionsInput,
  ListMicrovmImageVersionsOutput,
} from '../../contract/generated/operations.ts';
import { listImageVersions } from '../../store/image-versions.ts';
import { versionAnswer } from '../answers.ts';
import { requireImage } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { readPage } from '../page.ts';
import type { Caller } from '../settings.ts';

export async function listMicrovmImageVersions(
  app: AppContext,
  caller: Caller,
  input: ListMicrovmImageVersionsInput,
): Promise<ListMicrovmImageVersionsOutput> {
  const image = await requireImage(app, caller, input.imageIdentifier, 'Invalid ARN format');
  const { imageArn } = image;
  const { items, ...next } = await readPage(
    app,
    { caller, operation: 'ListMicrovmImageVersions', input },
    {
      read: (below: number | undefined, limit) => listImageVersions(app.db, { imageArn, below, limit }),
      positionOf: ({ ordinal }) => ordinal,
    },
  );
  return { items: items.map((version) => versionAnswer(image, version)), ...next };
}
