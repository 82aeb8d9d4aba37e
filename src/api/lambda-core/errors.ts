// Errors of the network connector API: other names than those of MicroVMs, a `Type`, and two that spell `Message` with a capital.
import { coreErrors } from '../../contract/lambda-core.ts';
import { type Fault, type FaultCode, isFault } from '../../lib/errors.ts';
import { type Answer, failureText, SerializationError, typedError } from '../answer.ts';

type Modelled = keyof typeof coreErrors;

/** What is missing here is internal: its message stays inside. */
const modelled: Partial<Record<FaultCode, Modelled>> = {
  invalid_input: 'InvalidParameterValueException',
  too_large: 'InvalidParameterValueException',
  conflict: 'ResourceConflictException',
  not_found: 'ResourceNotFoundException',
  quota_exceeded: 'NetworkConnectorLimitExceededException',
  throttled: 'TooManyRequestsException',
};

/** Undefined where this API has the words of all others: who may not, may not. */
export function coreErrorAnswer(error: unknown, requestId: string): Answer | undefined {
  if (error instanceof SerializationError || isFault(error, 'access_denied')) return undefined;
  if (isFault(error, 'disk_full')) return answerOf('ServiceException', 'Service', error.message);
  const name = isFault(error) ? modelled[error.code] : undefined;
  if (name === undefined || !isFault(error)) return answerOf('ServiceException', 'Service', failureText(requestId));
  return answerOf(name, 'User', error.message, error);
}

function answerOf(name: Modelled, type: 'User' | 'Service', message: string, error?: Fault): Answer {
  const { status, members } = coreErrors[name];
  const reason = name === 'TooManyRequestsException' ? { Reason: 'CallerRateLimitExceeded' } : {};
  return typedError(name, status, { Type: type, [members[1]]: message, ...reason }, error);
}
