// The network connector API, on the same door as MicroVMs: route → authenticate → count → read and check → use case → write.
import type { App } from '../../app/create-app.ts';
import { type CoreOperationName, coreOperations } from '../../contract/lambda-core.ts';
import { type Answer, jsonAnswer } from '../answer.ts';
import type { Authenticate, ReceivedRequest } from '../authenticate.ts';
import { readInput } from '../lambda-microvms/read-input.ts';
import { createRouter, type Match } from '../lambda-microvms/route.ts';
import { writeOutput } from '../lambda-microvms/write-output.ts';

type AnyOperation = (caller: { account: string }, input: Record<string, unknown>) => Promise<unknown>;

const route = createRouter<CoreOperationName>(coreOperations);

/** Undefined when no operation has this path. Rejects with a Fault or a SerializationError. */
export function handleCoreOperation(
  app: Pick<App, 'coreOperations' | 'throttle'>,
  authenticate: Authenticate,
  request: ReceivedRequest,
): Promise<Answer> | undefined {
  const match = route(request.method, request.rawPath);
  return match && answerMatch(app, authenticate, request, match);
}

async function answerMatch(
  app: Pick<App, 'coreOperations' | 'throttle'>,
  authenticate: Authenticate,
  request: ReceivedRequest,
  { name, labels }: Match<CoreOperationName>,
): Promise<Answer> {
  const { account } = await authenticate(request);
  app.throttle({ account }, name);
  const { input: inputName = '', output: outputName, status } = coreOperations[name];
  // `readInput` has made the input what the table says, which is what the use case takes.
  const run = app.coreOperations[name] as AnyOperation;
  const input = readInput(inputName, request, labels, {});
  return jsonAnswer(status, writeOutput(outputName, await run({ account }, input)));
}
