// ListManagedMicrovmImages: the base images one may build on.
import type {
  ListManagedMicrovmImagesInput,
  ListManagedMicrovmImagesOutput,
} from '../../contract/generated/operations.ts';
import type { AppContext } from '../context.ts';
import { managedImages } from '../managed-images.ts';
import { pageOf } from '../page.ts';
import type { Caller } from '../settings.ts';

export async function listManagedMicrovmImages(
  app: AppContext,
  _caller: Caller,
  input: ListManagedMicrovmImagesInput,
): Promise<ListManagedMicrovmImagesOutput> {
  return pageOf(managedImages(app.settings.region), input);
}
