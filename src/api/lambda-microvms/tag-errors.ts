// The tag operations are those of the whole of Lambda: some of their errors have other names, and a `Type`.
import { errors } from '../../contract/generated/operations.ts';
import { isFault } from '../../lib/errors.ts';
import { type Answer, failureText, SerializationError, typedError } from '../answer.ts';

/** Undefined where the error has the same form as with every other operation, as what breaks the grammar of the model has. */
export function tagErrorAnswer(error: unknown, requestId: string): Answer | undefined {
  if (error instanceof SerializationError || isFault(error, 'access_denied', 'not_found')) return undefined;
  if (isFault(error, 'invalid_input')) {
    if ('violations' in error.facts) return undefined;
    return answerOf('InvalidParameterValueException', error.message);
  }
  if (isFault(error, 'conflict')) return answerOf('ResourceConflictException', error.message);
  return answerOf('ServiceException', failureText(requestId));
}

const answerOf = (name: keyof typeof errors, message: string): Answer => typedError(name, errors[name].status, message);
