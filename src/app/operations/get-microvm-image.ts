// GetMicrovmImage: name, state and latest versions; no build configuration.
import type { GetMicrovmImageInput, GetMicrovmImageOutput } from '../../contract/generated/operations.ts';
import { imageAnswer } from '../answers.ts';
import { requireImage } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';

export async function getMicrovmImage(
  app: AppContext,
  caller: Caller,
  input: GetMicrovmImageInput,
): Promise<GetMicrovmImageOutput> {
  return imageAnswer(await requireImage(app, caller, input.imageIdentifier, 'Invalid ARN format'));
}
