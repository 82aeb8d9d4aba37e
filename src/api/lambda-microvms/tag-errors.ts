// The tag operations are those of the whole of Lambda: refusals of theirs have other names, and a `Type`.
import type { OperationName } from '../../contract/generated/operations.ts';
import { isFault } from '../../lib/errors.ts';
import { type Answer, jsonAnswer } from '../answer.ts';

const tagOperations: readonly OperationName[] = ['ListTags', 'TagResource', 'UntagResource'];

/** Undefined where the error has the same form as with every other operation. */
export function tagErrorAnswer(operation: OperationName, error: unknown): Answer | undefined {
  if (!tagOperations.includes(operation) || !isFault(error, 'invalid_input', 'conflict')) return undefined;
  const [status, name] =
    error.code === 'conflict' ? [409, 'ResourceConflictException'] : [400, 'InvalidParameterValueException'];
  const answer = jsonAnswer(Number(status), { Type: 'User', message: error.message });
  return { ...answer, headers: { ...answer.headers, 'x-amzn-errortype': String(name) } };
}
