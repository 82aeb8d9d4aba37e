// The tag operations are those of the whole of Lambda: refusals of theirs have other names, and a `Type`.
import type { OperationName } from '../../contract/generated/operations.ts';
import { type FaultCode, isFault } from '../../lib/errors.ts';
import { type Answer, typedError } from '../answer.ts';

const tagOperations: readonly OperationName[] = ['ListTags', 'TagResource', 'UntagResource'];

const modelled: Partial<Record<FaultCode, readonly [number, string]>> = {
  invalid_input: [400, 'InvalidParameterValueException'],
  conflict: [409, 'ResourceConflictException'],
  throttled: [429, 'TooManyRequestsException'],
};

/** Undefined where the error has the same form as with every other operation. */
export function tagErrorAnswer(operation: OperationName, error: unknown): Answer | undefined {
  if (!tagOperations.includes(operation) || !isFault(error)) return undefined;
  const [status, name] = modelled[error.code] ?? [];
  if (status === undefined || name === undefined) return undefined;
  return typedError(name, status, { Type: 'User', message: error.message }, error);
}
