// ListManagedMicrovmImageVersions: the versions of one base image.
import type {
  ListManagedMicrovmImageVersionsInput,
  ListManagedMicrovmImageVersionsOutput,
} from '../../contract/generated/operations.ts';
import { checkImageArn, imageNotFound } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { managedImageVersions } from '../managed-images.ts';
import { pageOf } from '../page.ts';
import type { Caller } from '../settings.ts';

export async function listManagedMicrovmImageVersions(
  app: AppContext,
  caller: Caller,
  input: ListManagedMicrovmImageVersionsInput,
): Promise<ListManagedMicrovmImageVersionsOutput> {
  checkImageArn(caller, input.imageIdentifier, 'Invalid ARN format');
  const versions = managedImageVersions(app.settings.region, input.imageIdentifier);
  if (!versions) throw imageNotFound(input.imageIdentifier);
  return pageOf(app, { caller, operation: 'ListManagedMicrovmImageVersions', input }, versions);
}
