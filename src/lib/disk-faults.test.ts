import { expect, test } from 'vitest';
import { diskFault } from './disk-faults.ts';
import { Fault } from './errors.ts';

const thrown = (code: string): Error => Object.assign(new Error(code), { code });

test.each([
  ['ENOSPC', 'disk_full'],
  ['EDQUOT', 'disk_full'],
  ['SQLITE_FULL', 'disk_full'],
  ['EIO', 'disk_failed'],
  ['EROFS', 'disk_failed'],
  ['SQLITE_IOERR', 'disk_failed'],
  ['SQLITE_IOERR_FSYNC', 'disk_failed'],
  ['SQLITE_READONLY', 'disk_failed'],
  ['SQLITE_READONLY_DBMOVED', 'disk_failed'],
])('%s is %s', (code, fault) => {
  const error = thrown(code);
  expect(diskFault(error, '/data/keys/tokens.json')).toMatchObject({
    code: fault,
    facts: { file: 'keys/tokens.json', path: '/data/keys/tokens.json' },
    cause: error,
  });
});

test.each([
  thrown('ENOENT'),
  thrown('SQLITE_BUSY'),
  thrown('SQLITE_CONSTRAINT'),
  new Error('x'),
  new Fault('aborted', {}),
  'x',
])('%s stays what it is', (error) => expect(diskFault(error, '/data/x')).toBe(error));
