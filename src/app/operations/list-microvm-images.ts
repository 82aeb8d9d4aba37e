// ListMicrovmImages: newest first. A page is read before the name filter, so that one can be empty and still not be the last.
import type { ListMicrovmImagesRequest, ListMicrovmImagesResponse } from '../../contract/generated/operations.ts';
import { type ImagePosition, listImages } from '../../store/images.ts';
import { imageAnswer } from '../answers.ts';
import type { AppContext } from '../context.ts';
import { readPage } from '../page.ts';
import type { Caller } from '../settings.ts';

export async function listMicrovmImages(
  app: AppContext,
  caller: Caller,
  input: ListMicrovmImagesRequest,
): Promise<ListMicrovmImagesResponse> {
  const { account } = caller;
  const { nameFilter = '' } = input;
  const { items, ...next } = await readPage(
    app,
    { caller, operation: 'ListMicrovmImages', input },
    {
      read: (after: ImagePosition | undefined, limit) => listImages(app.db, { account, after, limit }),
      positionOf: ({ createdAtMs, imageArn }): ImagePosition => ({ createdAtMs, imageArn }),
    },
  );
  return { items: items.filter(({ name }) => name.includes(nameFilter)).map(imageAnswer), ...next };
}
