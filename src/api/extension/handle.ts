// The extension API under /waterbear/v1: signed like the AWS API, JSON or text. Only what the AWS API has no words for.
import type { App } from '../../app/create-app.ts';
import { Fault } from '../../lib/errors.ts';
import { type Answer, jsonAnswer } from '../answer.ts';
import type { Authenticate, ReceivedRequest } from '../authenticate.ts';

type Extension = App['extension'];

interface Route {
  /** Default: GET. */
  method?: 'POST';
  pattern: RegExp;
  /** `body`: the members of a JSON object; none of GET. */
  answer(extension: Extension, caller: { account: string }, id: string, body: Body): Promise<Answer>;
}

type Body = Readonly<Record<string, unknown>>;

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
    method: 'POST',
    pattern: /^\/waterbear\/v1\/microvms\/([\w-]{1,256})\/lease$/,
    answer: async (extension, caller, id, { seconds }) => jsonAnswer(200, await extension.lease(caller, id, seconds)),
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
  for (const { method = 'GET', pattern, answer } of routes) {
    const match = request.method === method ? pattern.exec(request.rawPath) : null;
    if (match) {
      return authenticate(request).then((caller) => answer(app.extension, caller, match[1] ?? '', bodyOf(request)));
    }
  }
  return undefined;
}

/** Throws `invalid_input` for what is not a JSON object. */
function bodyOf({ body }: ReceivedRequest): Body {
  if (body.length === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    // Said below.
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Body;
  throw new Fault('invalid_input', { what: 'The body of the request is not a JSON object.' });
}
