import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { generateOperations } from '../../scripts/generate-operations.ts';
import { constraints, enums } from './constraints.ts';
import { errors, operations, structures } from './generated/operations.ts';
import { coreConstraints, coreEnums, coreStructures } from './lambda-core.ts';

test('the generated table is what the installed SDK exports', () => {
  const file = readFileSync(join(import.meta.dirname, 'generated/operations.ts'), 'utf8');
  expect(file).toBe(generateOperations());
});

test('the table has the 24 operations with their paths', () => {
  expect(Object.keys(operations)).toHaveLength(24);
  expect(operations.CreateMicrovmImage).toMatchObject({
    method: 'POST',
    path: '/2025-09-09/microvm-images',
    status: 201,
  });
  expect(structures.ListMicrovmsRequest.members.maxResults).toEqual({
    shape: 'number',
    in: 'query',
    wireName: 'maxResults',
  });
  expect(structures.RunMicrovmRequest.members.imageIdentifier).toEqual({ shape: 'string', required: true });
});

test('a service quota answers 402', () => {
  expect(errors.ServiceQuotaExceededException.status).toBe(402);
});

test('every constraint names a member that exists', () => {
  const names = new Set(
    Object.entries({ ...structures, ...coreStructures }).flatMap(([structure, { members }]) =>
      Object.keys(members).flatMap((member) => [member, `${structure}.${member}`]),
    ),
  );
  const rules = [constraints, coreConstraints, enums, coreEnums].flatMap((each) => Object.keys(each));
  expect(rules.filter((name) => !names.has(name))).toEqual([]);
});
