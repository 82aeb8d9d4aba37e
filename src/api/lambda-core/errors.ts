// Errors of the network connector API: other names than those of MicroVMs, a `Type`, and two that spell `Message` with a capital.
import { coreErrors } from '../../contract/lambda-core.ts';
import { type Fault, type FaultCode, isFault } from '../../lib/errors.ts';
import { type Answer, typedError } from '../answer.ts';

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

/** Undefined for an error of the server, and for what this API has no words for. */
export function refusal(error: unknown): Answer | undefined {
  const name = isFault(error) ? modelled[error.code] : undefined;
  return name === undefined || !isFault(error) ? undefined : answerOf(name, 'User', error.message, error);
}

export const serviceFailure = (): Answer =>
  answerOf('ServiceException', 'Service', 'The request failed inside the server. Its log says more.');

function answerOf(name: Modelled, type: 'User' | 'Service', message: string, error?: Fault): Answer {
  const { status, members } = coreErrors[name];
  const reason = name === 'TooManyRequestsException' ? { Reason: 'CallerRateLimitExceeded' } : {};
  return typedError(name, status, { Type: type, [members[1]]: message, ...reason }, error);
}
