import { posix } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkSymlink, entryPath } from './archive-tree.ts';

const part = fc.constantFrom('..', '.', '', 'a', 'b', '...', '/');
const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));

test('a refused name can be shown', () => {
  expect(() => entryPath('/\u001b[2J\u009b\u202ex')).toThrow('"/\\u001b[2J\ufffd\ufffdx"');
});

test('an accepted name never leaves the root', () => {
  expect(() => entryPath('a/../b')).toThrow('contains `..`');
  fc.assert(
    fc.property(path, (name) => {
      let accepted: string;
      try {
        accepted = entryPath(name);
      } catch {
        return;
      }
      expect(posix.join('/root', accepted)).toMatch(/^\/root(\/|$)/);
      expect(accepted).not.toMatch(/(^|\/)\.{0,2}(\/|$)./);
    }),
  );
});

test('an accepted link stays below the root even where other links lead to', () => {
  const inside = (from: string, target: string): boolean =>
    posix.join('/root', posix.dirname(from), target).startsWith('/root');
  fc.assert(
    fc.property(path, (target) => {
      try {
        checkSymlink('d/e/link', target);
      } catch {
        return;
      }
      expect(inside('d/e/link', target)).toBe(true);
    }),
  );
  // `deep` leads to the root, so `deep/..` would be above it although its name looks harmless.
  checkSymlink('x/y/z/deep', '../../..');
  expect(() => checkSymlink('m', 'x/y/z/deep/..')).toThrow('after a name');
});
