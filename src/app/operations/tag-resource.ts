// TagResource: adds tags to an image or a network connector, or replaces their values.
import type { TagResourceRequest } from '../../contract/generated/operations.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';
import { changeTags, checkTagKeys } from '../tags.ts';

export async function tagResource(
  app: AppContext,
  caller: Caller,
  { Resource, Tags }: TagResourceRequest,
): Promise<Record<string, never>> {
  checkTagKeys(Object.keys(Tags));
  await changeTags(app, caller, Resource, (tags) => ({ ...tags, ...Tags }));
  return {};
}
