// GetMicrovmImageVersion: what a version is built from, as really used.
import type { GetMicrovmImageVersionInput, GetMicrovmImageVersionOutput } from '../../contract/generated/operations.ts';
import { versionAnswer } from '../answers.ts';
import type { AppContext } from '../context.ts';
import { requireVersion } from '../require-version.ts';
import type { Caller } from '../settings.ts';

export async function getMicrovmImageVersion(
  app: AppContext,
  caller: Caller,
  input: GetMicrovmImageVersionInput,
): Promise<GetMicrovmImageVersionOutput> {
  const { image, version } = await requireVersion(app, caller, input);
  return versionAnswer(image, version);
}
