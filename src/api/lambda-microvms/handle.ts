// The AWS API: route → authenticate → count → read and check → use case → write.
import type { App } from '../../app/create-app.ts';
import { type OperationName, operations } from '../../contract/generated/operations.ts';
import type { Operation } from '../../contract/model.ts';
import { type Answer, jsonAnswer } from '../answer.ts';
import type { Authenticate, ReceivedRequest } from '../authenticate.ts';
import { readInput } from './read-input.ts';
import { createRouter, type Match } from './route.ts';
import { writeOutput } from './write-output.ts';

type AnyOperation = (caller: { account: string }, input: Record<string, unknown>) => Promise<unknown>;

const route = createRouter<OperationName>(operations);

/** The AWS operations as a function; undefined when no operation has this path. Rejects with a Fault or a SerializationError. */
export function handleOperation(
  app: Pick<App, 'operations' | 'inputLimits' | 'throttle'>,
  authenticate: Authenticate,
  request: ReceivedRequest,
): Promise<Answer> | undefined {
  const match = route(request.method, request.rawPath);
  return match && answerMatch(app, authenticate, request, match);
}

async function answerMatch(
  app: Pick<App, 'operations' | 'inputLimits' | 'throttle'>,
  authenticate: Authenticate,
  request: ReceivedRequest,
  { name, labels }: Match<OperationName>,
): Promise<Answer> {
  const { account } = await authenticate(request);
  app.throttle({ account }, name);
  const { input: inputName, output: outputName, status }: Operation = operations[name];
  // `readInput` has made the input what the table says, which is what the use case takes.
  const run = app.operations[name] as AnyOperation;
  const input = inputName === undefined ? {} : readInput(inputName, request, labels, app.inputLimits);
  return jsonAnswer(status, writeOutput(outputName, await run({ account }, input)));
}
