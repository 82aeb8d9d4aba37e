// ListNetworkConnectors: newest first, those that are being deleted included.
import type { ListNetworkConnectorsRequest, ListNetworkConnectorsResponse } from '../../contract/lambda-core.ts';
import { type ConnectorPosition, listConnectors } from '../../store/connectors.ts';
import { connectorSummary } from '../connector-answers.ts';
import type { AppContext } from '../context.ts';
import { defaultPageSize, readPage } from '../page.ts';
import type { Caller } from '../settings.ts';

export async function listNetworkConnectors(
  app: AppContext,
  caller: Caller,
  { Marker: nextToken, MaxItems = defaultPageSize, State: state }: ListNetworkConnectorsRequest,
): Promise<ListNetworkConnectorsResponse> {
  const { account } = caller;
  // The model takes up to 100 and answers with at most 50.
  const input = { nextToken, maxResults: Math.min(MaxItems, defaultPageSize), state };
  const { items, nextToken: next } = await readPage(
    app,
    { caller, operation: 'ListNetworkConnectors', input },
    {
      read: (after: ConnectorPosition | undefined, limit) => listConnectors(app.db, { account, state, after, limit }),
      positionOf: ({ createdAtMs, connectorId }): ConnectorPosition => ({ createdAtMs, connectorId }),
    },
  );
  return { NetworkConnectors: items.map(connectorSummary), ...(next === undefined ? {} : { NextMarker: next }) };
}
