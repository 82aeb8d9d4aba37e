// The extension API under /waterbear/v1: signed like the AWS API, JSON or text. Only what the AWS API has no words for.
import type { App } from '../../app/create-app.ts';
import { expositionType } from '../../app/metrics/exposition.ts';
import { type Answer, jsonAnswer } from '../answer.ts';
import type { Authenticate, ReceivedRequest } from '../authenticate.ts';
import { readCollectOrder, readReapOrder } from './garbage-orders.ts';
import { readLeaseOrder } from './lease-order.ts';
import { readRevokeOrder } from './revoke-order.ts';
import { readScrubOrder } from './scrub-order.ts';

type Extension = App['extension'];

interface Route {
  method: 'GET' | 'POST';
  pattern: RegExp;
  answer(extension: Extension, caller: { account: string }, id: string, body: Buffer): Promise<Answer>;
}

const text = (type: string, body: string): Answer => ({
  status: 200,
  headers: { 'content-type': type, 'x-content-type-options': 'nosniff' },
  body,
});

const routes: readonly Route[] = [
  {
    method: 'GET',
    pattern: /^\/waterbear\/v1\/info$/,
    answer: async (extension) => jsonAnswer(200, extension.info()),
  },
  {
    method: 'GET',
    pattern: /^\/waterbear\/v1\/microvms\/([\w-]{1,256})$/,
    answer: async (extension, caller, id) => jsonAnswer(200, await extension.microvm(caller, id)),
  },
  {
    method: 'POST',
    pattern: /^\/waterbear\/v1\/microvms\/([\w-]{1,256})\/lease$/,
    answer: async (extension, caller, id, body) =>
      jsonAnswer(200, await extension.lease(caller, id, readLeaseOrder(body))),
  },
  {
    method: 'GET',
    pattern: /^\/waterbear\/v1\/builds\/([\w-]{1,256})\/log$/,
    answer: async (extension, caller, id) => text('text/plain; charset=utf-8', await extension.buildLog(caller, id)),
  },
  {
    method: 'GET',
    pattern: /^\/waterbear\/v1\/metrics$/,
    answer: async (extension, caller) => text(expositionType, await extension.metrics(caller)),
  },
  {
    method: 'GET',
    pattern: /^\/waterbear\/v1\/scrub$/,
    answer: async (extension, caller) => jsonAnswer(200, extension.scrub(caller)),
  },
  {
    method: 'POST',
    pattern: /^\/waterbear\/v1\/scrub$/,
    answer: async (extension, caller, _, body) => jsonAnswer(200, extension.startScrub(caller, readScrubOrder(body))),
  },
  {
    method: 'POST',
    pattern: /^\/waterbear\/v1\/tokens\/revoke$/,
    answer: async (extension, caller, _, body) =>
      jsonAnswer(200, await extension.revokeTokens(caller, readRevokeOrder(body))),
  },
  {
    method: 'POST',
    pattern: /^\/waterbear\/v1\/tokens\/rotate-keys$/,
    answer: async (extension, caller) => {
      await extension.rotateTokenKeys(caller);
      return jsonAnswer(200, {});
    },
  },
  {
    method: 'GET',
    pattern: /^\/waterbear\/v1\/orphans$/,
    answer: async (extension, caller) => jsonAnswer(200, await extension.orphans(caller)),
  },
  {
    method: 'POST',
    pattern: /^\/waterbear\/v1\/orphans\/reap$/,
    answer: async (extension, caller, _, body) =>
      jsonAnswer(200, await extension.reapOrphans(caller, readReapOrder(body))),
  },
  {
    method: 'POST',
    pattern: /^\/waterbear\/v1\/gc$/,
    answer: async (extension, caller, _, body) =>
      jsonAnswer(200, await extension.collectGarbage(caller, readCollectOrder(body))),
  },
];

/** Undefined when the path is not one of the extension. Rejects with a Fault. */
export function handleExtension(
  app: Pick<App, 'extension'>,
  authenticate: Authenticate,
  request: ReceivedRequest,
): Promise<Answer> | undefined {
  for (const { method, pattern, answer } of routes) {
    const match = method === request.method ? pattern.exec(request.rawPath) : null;
    if (match)
      return authenticate(request).then((caller) => answer(app.extension, caller, match[1] ?? '', request.body));
  }
  return undefined;
}
