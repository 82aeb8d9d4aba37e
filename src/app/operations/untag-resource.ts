// UntagResource: removes tags by their keys; keys that are not there do not matter.
import type { UntagResourceRequest } from '../../contract/generated/operations.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';
import { changeTags } from '../tags.ts';

export async function untagResource(
  app: AppContext,
  caller: Caller,
  { Resource, TagKeys }: UntagResourceRequest,
): Promise<Record<string, never>> {
  await changeTags(app, caller, Resource, (tags) =>
    Object.fromEntries(Object.entries(tags).filter(([key]) => !TagKeys.includes(key))),
  );
  return {};
}
