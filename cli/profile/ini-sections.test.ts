// Only the named sections change; everything else of the file stays as it is, byte for byte.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { replaceSections } from './ini-sections.ts';

const ours = { 'profile waterbear': ['region = x', 's3 =', '  endpoint_url = y'] };
const rendered = '[profile waterbear]\nregion = x\ns3 =\n  endpoint_url = y\n';

test('an empty file gets just the sections, another one gets them at its end', () => {
  expect(replaceSections('', ours)).toBe(rendered);
  expect(replaceSections('[default]\nregion = a', ours)).toBe(`[default]\nregion = a\n\n${rendered}`);
  expect(replaceSections('# mine\n', ours)).toBe(`# mine\n\n${rendered}`);
});

test('an older section is replaced where it stands, with its neighbours and their comments kept', () => {
  const before = '# top\n[default]\na=1\r\n\n';
  const after = '\n# about prod\n; and more\n[profile prod]\nb = 2\n  nested = 3';
  const old = '[ profile   waterbear ]\nregion = old\ns3 =\n  endpoint_url = old\n';
  expect(replaceSections(before + old + after, ours)).toBe(before + rendered + after);
});

test('a section that is there twice is there once afterwards', () => {
  const text = '[profile waterbear]\nregion = 1\n[default]\na = 1\n[profile waterbear]\nregion = 2\n';
  expect(replaceSections(text, ours)).toBe(`${rendered}[default]\na = 1\n`);
});

test('names that only look alike are left alone', () => {
  const text = '[profile waterbear2]\na = 1\n[waterbear]\nb = 2\n[__proto__]\nc = 3\n';
  expect(replaceSections(text, ours)).toBe(`${text}\n${rendered}`);
});

test('for any file: twice is once, and lines of other sections survive in order', () => {
  const line = fc.constantFrom('[default]', '[profile waterbear]', '[profile x]', 'a = 1', '  b = 2', '# c', '', '\r');
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
      const once = replaceSections(lines.join('\n'), ours);
      expect(replaceSections(once, ours)).toBe(once);
      expect(once.split(rendered).length).toBe(2);
      const others = (text: string): string[] => {
        let mine = false;
        return text.split('\n').filter((each) => {
          if (each.startsWith('[')) mine = each === '[profile waterbear]';
          return !mine && each.trim() !== '' && !each.startsWith('#');
        });
      };
      expect(others(once)).toEqual(others(lines.join('\n')));
    }),
    { numRuns: 2000 },
  );
});
