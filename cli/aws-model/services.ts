// The services whose models can be written.
import { constraints, enums } from '../../src/contract/constraints.ts';
import { errors, operations, structures } from '../../src/contract/generated/operations.ts';
import {
  coreConstraints,
  coreEnums,
  coreErrors,
  coreOperations,
  coreStructures,
} from '../../src/contract/lambda-core.ts';
import type { Service } from './service-model.ts';

export const services: readonly Service[] = [
  {
    name: 'lambda-microvms',
    version: '2025-09-09',
    serviceId: 'Lambda Microvms',
    fullName: 'AWS Lambda MicroVMs',
    operations,
    structures,
    errors,
    constraints,
    enums,
  },
  {
    name: 'lambda-core',
    version: '2026-04-30',
    serviceId: 'Lambda Core',
    fullName: 'AWS Lambda Core',
    operations: coreOperations,
    structures: coreStructures,
    errors: coreErrors,
    constraints: { ...constraints, ...coreConstraints },
    enums: coreEnums,
  },
];
