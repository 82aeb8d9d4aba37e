// Tags of what can carry them: images and network connectors of the caller's own.
import { parseArn } from '../lib/arn.ts';
import { Fault } from '../lib/errors.ts';
import { changeConnector } from '../store/connectors.ts';
import { changeImage, findImage } from '../store/images.ts';
import { fromJson, toJson } from '../store/json.ts';
import { inTransaction } from '../store/open-store.ts';
import type { Database } from '../store/tables.ts';
import { invalid } from './caller-checks.ts';
import { findOwnConnector } from './connector-checks.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

type Tags = Record<string, string>;

const maxTags = 50;

interface Tagged {
  tags: Tags;
  state: string;
  write(tags: Tags): Promise<unknown>;
}

/** Throws `invalid_input` for the prefix that AWS keeps for itself. */
export function checkTagKeys(keys: readonly string[]): void {
  if (keys.some((key) => /^aws:/i.test(key))) throw invalid('Tag keys that begin with aws: are reserved.');
}

/** Rejects with `access_denied` or `not_found`. */
export async function requireTagged(app: AppContext, db: Database, caller: Caller, arn: string): Promise<Tagged> {
  const parts = parseArn(arn);
  if (parts?.account !== caller.account || parts.region !== app.settings.region) {
    throw new Fault('access_denied', { what: `Account ${caller.account} is not authorized to access ${arn}` });
  }
  const image = await findImage(db, arn);
  if (image) {
    const write = (tags: Tags): Promise<void> => changeImage(db, arn, { tags: toJson(tags) });
    return { tags: fromJson(image.tags), state: image.state, write };
  }
  const connector = await findOwnConnector(app, db, caller, arn);
  if (connector && connector.deletedAtMs === null) {
    const write = (tags: Tags) => changeConnector(db, connector.connectorId, { tags: toJson(tags) });
    return { tags: fromJson(connector.tags), state: connector.state, write };
  }
  const resourceType = parts.resource.split(':')[0];
  throw new Fault('not_found', { what: `Resource not found: ${arn}`, resourceType, resourceId: arn });
}

/** Rejects as `requireTagged` does, with `conflict` while the resource is being deleted, or with `invalid_input` for too many. */
export function changeTags(app: AppContext, caller: Caller, arn: string, change: (tags: Tags) => Tags): Promise<void> {
  return inTransaction(app.db, async (trx) => {
    const { tags, state, write } = await requireTagged(app, trx, caller, arn);
    if (state === 'DELETING') throw new Fault('conflict', { what: `${arn} is being deleted.` });
    const next = change(tags);
    if (Object.keys(next).length > maxTags) throw invalid(`A resource can have at most ${maxTags} tags.`);
    await write(next);
  });
}
