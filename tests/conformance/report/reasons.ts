// Why an error that the model gives an operation cannot be provoked here.
import type { OperationName } from '../../../src/contract/generated/operations.ts';
import type { CoreOperationName } from '../../../src/contract/lambda-core.ts';

type Name = OperationName | CoreOperationName;
type Rule = readonly [operations: readonly Name[], reason: string];

const tagOperations = ['ListTags', 'TagResource', 'UntagResource'] as const;

const rules: Readonly<Record<string, readonly Rule[]>> = {
  AccessDeniedException: [
    [
      [
        ...['CreateMicrovmAuthToken', 'CreateMicrovmShellAuthToken', 'GetMicrovm'],
        ...['ResumeMicrovm', 'SuspendMicrovm', 'TerminateMicrovm'],
      ] as OperationName[],
      'a MicroVM of another account is not found',
    ],
    [['ListManagedMicrovmImages', 'ListMicrovmImages'], 'it names nothing that could be of another account'],
  ],
  ResourceNotFoundException: [[['ListMicrovms'], 'a filter that nothing matches gives an empty page']],
  ConflictException: [[['TerminateMicrovm'], 'it is taken in every state']],
  InternalServerException: [[tagOperations, 'it is called `Service` here']],
  InvalidParameterValueException: [
    [['ListTags', 'UntagResource'], "all that can be wrong breaks the model's grammar, which is `Validation`"],
  ],
  ThrottlingException: [[tagOperations, 'it is called `TooManyRequests` here']],
};

/** Undefined when there is none: then it should have been provoked. */
export const reasonFor = (operation: Name, error: string): string | undefined =>
  rules[error]?.find(([operations]) => operations.includes(operation))?.[1];
