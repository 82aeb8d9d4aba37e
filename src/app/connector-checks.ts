// Network connectors of the account's own, as callers name them.
import { parseArn } from '../lib/arn.ts';
import { Fault } from '../lib/errors.ts';
import { findConnector, findConnectorByName } from '../store/connectors.ts';
import type { ConnectorRow, Database } from '../store/tables.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

export const connectorArn = (region: string, account: string, idOrName: string): string =>
  `arn:aws:lambda:${region}:${account}:network-connector:${idOrName}`;

/** Whether there is one of this id that was not deleted. */
export const connectorExists = async (db: Database, connectorId: string): Promise<boolean> =>
  (await findConnector(db, connectorId))?.deletedAtMs === null;

/** By ARN, id or name. Finds one that was deleted by its id only. Older versions are not kept, so an ARN may end in the newest one only. */
export async function findOwnConnector(
  app: AppContext,
  db: Database,
  { account }: Caller,
  identifier: string,
): Promise<ConnectorRow | undefined> {
  const parts = parseArn(identifier);
  const { region } = app.settings;
  if (parts && (parts.service !== 'lambda' || parts.region !== region || parts.account !== account)) return undefined;
  const resource = parts?.resource ?? `network-connector:${identifier}`;
  const [, idOrName = '', version] = /^network-connector:([\w-]+)(?::([1-9][0-9]*))?$/.exec(resource) ?? [];
  const byId = await findConnector(db, idOrName);
  const found = byId?.account === account ? byId : await findConnectorByName(db, account, idOrName);
  return version === undefined || version === String(found?.version) ? found : undefined;
}

/** Rejects with `not_found`. Resolves with one that was deleted, too, when it is named by its id. */
export async function requireOwnConnector(
  app: AppContext,
  db: Database,
  caller: Caller,
  identifier: string,
): Promise<ConnectorRow> {
  const found = await findOwnConnector(app, db, caller, identifier);
  if (found) return found;
  throw connectorNotFound(app, caller, identifier);
}

/** Rejects with `not_found` for one that was deleted, too. */
export async function requireLiveConnector(
  app: AppContext,
  db: Database,
  caller: Caller,
  identifier: string,
): Promise<ConnectorRow> {
  const found = await requireOwnConnector(app, db, caller, identifier);
  if (found.deletedAtMs === null) return found;
  throw connectorNotFound(app, caller, identifier);
}

/** In the words of the live service, which names the ARN it made of the identifier. */
function connectorNotFound({ settings }: AppContext, { account }: Caller, identifier: string): Fault {
  const arn = parseArn(identifier) ? identifier : connectorArn(settings.region, account, identifier);
  const what = `Network connector not found for: ${arn}`;
  return new Fault('not_found', { what, resourceType: 'network-connector', resourceId: arn });
}
