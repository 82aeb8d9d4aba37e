// ListMicrovms: newest first, those that have ended included.
import type { ListMicrovmsRequest, ListMicrovmsResponse } from '../../contract/generated/operations.ts';
import { type MicrovmPosition, listMicrovms as readPage } from '../../store/microvms.ts';
import { checkImageArn } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { decodeCursor, defaultPageSize, encodeCursor } from '../page.ts';
import type { Caller } from '../settings.ts';

const isPosition = (value: unknown): value is MicrovmPosition =>
  typeof value === 'object' &&
  value !== null &&
  'startedAtMs' in value &&
  typeof value.startedAtMs === 'number' &&
  'microvmId' in value &&
  typeof value.microvmId === 'string';

export async function listMicrovms(
  app: AppContext,
  caller: Caller,
  input: ListMicrovmsRequest,
): Promise<ListMicrovmsResponse> {
  const { imageIdentifier, imageVersion, nextToken, maxResults = defaultPageSize } = input;
  if (imageIdentifier !== undefined) checkImageArn(caller, imageIdentifier, 'Invalid ARN format');
  const after = decodeCursor(nextToken, isPosition);
  const query = { account: caller.account, imageArn: imageIdentifier, imageVersion, after, limit: maxResults + 1 };
  const rows = await readPage(app.db, query);
  const page = rows.slice(0, maxResults);
  const last = rows.length > maxResults ? page.at(-1) : undefined;
  return {
    items: page.map((row) => ({
      microvmId: row.microvmId,
      state: row.state,
      imageArn: row.imageArn,
      imageVersion: row.imageVersion,
      startedAt: new Date(row.startedAtMs),
    })),
    ...(last ? { nextToken: encodeCursor({ startedAtMs: last.startedAtMs, microvmId: last.microvmId }) } : {}),
  };
}
