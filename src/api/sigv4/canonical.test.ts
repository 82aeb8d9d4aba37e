// Canonical forms, after the examples of AWS's documentation and test suite.
import { expect, test } from 'vitest';
import { canonicalHeaders, canonicalPath, canonicalQuery } from './canonical.ts';

test.each([
  ['/', '/'],
  ['', '/'],
  ['/a/./b/../c//d', '/a/c/d'],
  ['/../..', '/'],
  ['/x/', '/x/'],
  ['/arn%3Aaws%3Alambda', '/arn%253Aaws%253Alambda'],
  ['/arn:aws', '/arn%3Aaws'],
  ['/%E1%88%B4', '/%25E1%2588%25B4'],
])('lambda path %s', (raw, canonical) => {
  expect(canonicalPath(raw, 'lambda')).toBe(canonical);
});

test.each([
  ['/', '/'],
  ['/b/a//../%2e%2E/x', '/b/a//../../x'],
  ['/b/a+b c', '/b/a%2Bb%20c'],
  ['/b/a%2fb', '/b/a%2Fb'],
  ['/b/%c3%bc~!', '/b/%C3%BC~%21'],
])('s3 path %s', (raw, canonical) => {
  expect(canonicalPath(raw, 's3')).toBe(canonical);
});

test('query: sorted by name, then value; encoded anew; nothing without a value', () => {
  expect(canonicalQuery('b=2&a=2&a=1&A=%c3%bc&acl&c=x%20y&d=p+q&e=/=')).toBe(
    'A=%C3%BC&a=1&a=2&acl=&b=2&c=x%20y&d=p%20q&e=%2F%3D',
  );
  expect(canonicalQuery('X-Amz-Signature=1&a=1', 'X-Amz-Signature')).toBe('a=1');
});

test('headers: trimmed, blanks collapsed, repeated ones joined', () => {
  const headers = new Map([
    ['b', [' x   y ', 'z']],
    ['host', ['h']],
  ]);
  expect(canonicalHeaders(headers, ['b', 'host'])).toBe('b:x y,z\nhost:h\n');
});
