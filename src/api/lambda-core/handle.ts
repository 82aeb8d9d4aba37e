// The network connector API, on the same door as MicroVMs: route → authenticate → count → read and check → use case → write.
import type { App } from '../../app/create-app.ts';
import { type CoreOperationName, coreOperations } from '../../contract/lambda-core.ts';
import { isFault } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { type Answer, jsonAnswer, namedError } from '../answer.ts';
import type { Authenticate, ReceivedRequest } from '../authenticate.ts';
import { readInput } from '../lambda-microvms/read-input.ts';
import { createRouter, type Match } from '../lambda-microvms/route.ts';
import { SerializationError } from '../lambda-microvms/validate.ts';
import { writeOutput } from '../lambda-microvms/write-output.ts';
import { refusal, serviceFailure } from './errors.ts';

type AnyOperation = (caller: { account: string }, input: Record<string, unknown>) => Promise<unknown>;

const route = createRouter<CoreOperationName>(coreOperations);

/** Undefined when no operation has this path. Rejects with the Fault of a request that cannot be authenticated. */
export function handleCoreOperation(
  app: Pick<App, 'coreOperations' | 'throttle'>,
  authenticate: Authenticate,
  log: Log,
  request: ReceivedRequest,
): Promise<Answer> | undefined {
  const match = route(request.method, request.rawPath);
  return match && answerMatch(app, authenticate, log, request, match);
}

async function answerMatch(
  app: Pick<App, 'coreOperations' | 'throttle'>,
  authenticate: Authenticate,
  log: Log,
  request: ReceivedRequest,
  { name, labels }: Match<CoreOperationName>,
): Promise<Answer> {
  const { account } = await authenticate(request);
  const { input: inputName = '', output: outputName, status } = coreOperations[name];
  // `readInput` has made the input what the table says, which is what the use case takes.
  const run = app.coreOperations[name] as AnyOperation;
  try {
    app.throttle({ account }, name);
    const input = readInput(inputName, request, labels, {});
    return jsonAnswer(status, writeOutput(outputName, await run({ account }, input)));
  } catch (error) {
    if (error instanceof SerializationError) return namedError('SerializationException', error.message);
    if (isFault(error, 'access_denied')) throw error;
    const answer = refusal(error);
    if (!answer) log.error('api.failed', { path: request.rawPath, error: String(error) });
    return answer ?? serviceFailure();
  }
}
