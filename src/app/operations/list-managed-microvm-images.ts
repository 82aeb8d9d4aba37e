// ListManagedMicrovmImages: the base images one may build on.
import type {
  ListManagedMicrovmImagesInput,
  ListManagedMicrovmImagesOutput,
} from '../../contract/generated/operations.ts';
import type { AppContext } from '../context.ts';
import { managedImages } from '../managed-images.ts';
import { pageOf } from '../page.ts';
import type { Caller } from '../settings.ts';

export const listManagedMicrovmImages = (
  app: AppContext,
  caller: Caller,
  input: ListManagedMicrovmImagesInput,
): Promise<ListManagedMicrovmImagesOutput> =>
  pageOf(app, { caller, operation: 'ListManagedMicrovmImages', input }, managedImages(app.settings.region));
