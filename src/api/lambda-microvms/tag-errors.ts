// The tag operations are those of the whole of Lambda: some of their errors have other names, and a `Type`.
import { errors } from '../../contract/generated/operations.ts';
import { type FaultCode, isFault } from '../../lib/errors.ts';
import { type Answer, failureText, SerializationError, typedError } from '../answer.ts';

const modelled: Partial<Record<FaultCode, keyof typeof errors>> = {
  invalid_input: 'InvalidParameterValueException',
  conflict: 'ResourceConflictException',
  throttled: 'TooManyRequestsException',
};

/** Undefined where the error has the same form as with every other operation, as what breaks the grammar of the model has. */
export function tagErrorAnswer(error: unknown, requestId: string): Answer | undefined {
  if (error instanceof SerializationError || isFault(error, 'access_denied', 'not_found')) return undefined;
  if (isFault(error) && 'violations' in error.facts) return undefined;
  const name = isFault(error) ? modelled[error.code] : undefined;
  if (name === undefined || !isFault(error)) {
    const failure = 'ServiceException';
    return typedError(failure, errors[failure].status, { Type: 'Service', message: failureText(requestId) });
  }
  return typedError(name, errors[name].status, { Type: 'User', message: error.message }, error);
}
