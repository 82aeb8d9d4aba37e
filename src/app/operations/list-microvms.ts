// ListMicrovms: newest first, those that have ended included.
import type { ListMicrovmsRequest, ListMicrovmsResponse } from '../../contract/generated/operations.ts';
import { type MicrovmPosition, listMicrovms as readMicrovms } from '../../store/microvms.ts';
import { checkImageArn } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { readPage } from '../page.ts';
import type { Caller } from '../settings.ts';

export async function listMicrovms(
  app: AppContext,
  caller: Caller,
  input: ListMicrovmsRequest,
): Promise<ListMicrovmsResponse> {
  const { imageIdentifier: imageArn, imageVersion } = input;
  if (imageArn !== undefined) checkImageArn(caller, imageArn, 'Invalid ARN format');
  const query = { account: caller.account, imageArn, imageVersion };
  const { items, ...next } = await readPage(
    app,
    { caller, operation: 'ListMicrovms', input },
    {
      read: (after: MicrovmPosition | undefined, limit) => readMicrovms(app.db, { ...query, after, limit }),
      positionOf: ({ startedAtMs, microvmId }): MicrovmPosition => ({ startedAtMs, microvmId }),
    },
  );
  return {
    items: items.map((row) => ({
      microvmId: row.microvmId,
      state: row.state,
      imageArn: row.imageArn,
      imageVersion: row.imageVersion,
      startedAt: new Date(row.startedAtMs),
    })),
    ...next,
  };
}
