// The extension API under /waterbear/v1: signed like the AWS API, JSON or text. Only what the AWS API has no words for.
import type { App } from '../../app/create-app.ts';
import { type Answer, jsonAnswer } from '../answer.ts';
import type { Authenticate, ReceivedRequest } from '../authenticate.ts';

type Extension = App['extension'];

interface Route {
  pattern: RegExp;
  answer(extension: Extension, caller: { account: string }, id: string): Promise<Answer>;
}

const routes: readonly Route[] = [
  {
    pattern: /^\/waterbear\/v1\/info$/,
    answer: async (extension) => jsonAnswer(200, extension.info()),
  },
  {
    pattern: /^\/waterbear\/v1\/microvms\/([\w-]{1,256})$/,
    answer: async (extension, caller, id) => jsonAnswer(200, await extension.microvm(caller, id)),
  },
  {
    pattern: /^\/waterbear\/v1\/builds\/([\w-]{1,256})\/log$/,
    answer: async (extension, caller, id) => ({
      status: 200,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
      body: await extension.buildLog(caller, id),
    }),
  },
];

/** Undefined when the path is not one of the extension. Rejects with a Fault. */
export function handleExtension(
  app: Pick<App, 'extension'>,
  authenticate: Authenticate,
  request: ReceivedRequest,
): Promise<Answer> | undefined {
  if (request.method !== 'GET') return undefined;
  for (const { pattern, answer } of routes) {
    const match = pattern.exec(request.rawPath);
    if (match) return authenticate(request).then((caller) => answer(app.extension, caller, match[1] ?? ''));
  }
  return undefined;
}
