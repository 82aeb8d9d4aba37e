// ListTags: of an image or a network connector.
import type { ListTagsRequest, ListTagsResponse } from '../../contract/generated/operations.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';
import { requireTagged } from '../tags.ts';

export async function listTags(app: AppContext, caller: Caller, input: ListTagsRequest): Promise<ListTagsResponse> {
  return { Tags: (await requireTagged(app, app.db, caller, input.Resource)).tags };
}
