// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isFault } from '../lib/errors.ts';
import { checkDockerfile } from './dockerfile.ts';

const refusal = (text: string): string => {
  try {
    checkDockerfile(text);
  } catch (error) {
    if (isFault(error, 'build_failed')) return String(error.facts.what);
    throw error;
  }
  return 'accepted';
};

test.each([
  ['RUN cat <<EOF > /x\nhello\nEOF', 2, 'EOF'],
  ['# note\n\nCOPY <<-"file.txt" /x', 4, 'file.txt'],
  ["RUN a \\\n  && b \\\n# inside\n  && python3 - <<'PY'", 2, 'PY'],
  ['run 3<<E cat', 2, 'E'],
])('a heredoc is named with its line: %j', (text, line, name) => {
  expect(refusal(`FROM x\n${text}`)).toContain(`Dockerfile line ${line}: the heredoc <<${name}`);
});

test.each([
  'RUN echo $((1<<3))',
  'RUN cat <<<"here"',
  'RUN echo "<<EOF"',
  "RUN echo 'a <<EOF'",
  'ENV A="<<EOF"',
  'CMD x <<EOF',
  'RUN a << b',
])('not a heredoc: %s', (line) => expect(refusal(`FROM x\n${line}`)).toBe('accepted'));

test('names are completed, stages and numbers are not images, lines keep their numbers', () => {
  const text = [
    'ARG TAG=3.12',
    'ARG BASE="python:${TAG}"',
    'FROM ${BASE} AS Build',
    'RUN --mount=type=cache,target=/c --mount=type=bind,from=ghcr.io/a/b,target=/b true',
    'FROM --platform=$TARGETPLATFORM \\',
    '  localhost/waterbear/debian:12',
    'COPY --from=build /a /b',
    'COPY --chown=1:1 --from=0 /a /b',
    'COPY --from=nginx:1 /a /b',
    'FROM build',
    'FROM scratch',
  ].join('\n');
  const checked = checkDockerfile(text);
  expect(checked.images).toEqual([
    { name: 'docker.io/library/python:3.12', line: 3 },
    { name: 'ghcr.io/a/b', line: 4 },
    { name: 'localhost/waterbear/debian:12', line: 5 },
    { name: 'docker.io/library/nginx:1', line: 9 },
  ]);
  const lines = checked.text.split('\n');
  expect(lines[2]).toBe('FROM docker.io/library/python:3.12 AS Build');
  expect(lines[3]).toBe('RUN --mount=type=cache,target=/c --mount=type=bind,from=ghcr.io/a/b,target=/b true');
  expect(lines[4]).toMatch(/^FROM --platform=linux\/(amd|arm)64 localhost\/waterbear\/debian:12$/);
  expect(lines.slice(5)).toEqual([
    '',
    ...text.split('\n').slice(6, 8),
    'COPY --from=docker.io/library/nginx:1 /a /b',
    'FROM build',
    'FROM scratch',
  ]);
});

test('an alias applies to the name as written and in full, and only when it is set', () => {
  const text = 'FROM public.ecr.aws/lambda/microvms:al2023-minimal\nFROM python';
  const aliases = {
    'public.ecr.aws/lambda/microvms:al2023-minimal': 'localhost/waterbear/debian:12',
    'docker.io/library/python': 'localhost/waterbear/python:3',
  };
  expect(checkDockerfile(text, aliases).images.map((image) => image.name)).toEqual(Object.values(aliases));
  expect(checkDockerfile(text).images.map((image) => image.name)).toEqual(Object.keys(aliases));
});

test('the escape directive, comments and empty lines in a continuation, and variables with defaults', () => {
  const text =
    '# syntax=docker/dockerfile:1\n# escape=`\nARG A\nFROM `\n\n# c\n  ${A:-debian}${A:+no}\nRUN dir C:\\\nCMD x';
  const checked = checkDockerfile(text);
  expect(checked.images).toEqual([{ name: 'docker.io/library/debian', line: 4 }]);
  expect(checked.text.split('\n').slice(3)).toEqual([
    'FROM docker.io/library/debian',
    '',
    '',
    '',
    'RUN dir C:\\',
    'CMD x',
  ]);
});

test.each([
  ['', 'no FROM'],
  ['RUN x', 'no FROM'],
  ['FROM', 'takes an image'],
  ['FROM a b', 'takes an image'],
  ['FROM a AS', 'takes an image'],
  ['FROM a AS ../b', 'name of a stage'],
  ['FROM $MISSING', 'before the first FROM'],
  ['FROM oci:/etc', 'names a place on the host'],
  ['FROM dir:/etc', 'names a place on the host'],
  ['ARG X=docker-archive:/a.tar\nFROM $X', 'names a place on the host'],
  ['FROM oci:5000/x', 'names a place on the host'],
  ['FROM x\nCOPY --from=containers-storage:/x a b', 'names a place on the host'],
  ['FROM x\nRUN --mount=type=bind,from=oci:/etc,target=/m true', 'names a place on the host'],
  ['FROM x\nCOPY --from=$Y a b', 'not the name of an image'],
  ['FROM x\nCOPY --from=7 a b', 'accepted'],
  ['FROM ../../etc', 'not the name of an image'],
  ['FROM A', 'not the name of an image'],
])('%j: %s', (text, why) => expect(refusal(text)).toContain(why));

test('any text gives a clear answer quickly', () => {
  const token = fc.constantFrom(
    'FROM ',
    'RUN ',
    'COPY ',
    'ARG ',
    '--from=',
    '<<',
    'E',
    '\\',
    '\n',
    '"',
    "'",
    '$',
    '{',
    '}',
    ' ',
    '`',
    '#',
    'x:y',
    '--mount=',
    ',',
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 40 }), (tokens) => void refusal(tokens.join(''))),
    { numRuns: 500 },
  );
  const started = performance.now();
  refusal(`FROM x\nRUN ${'"\\'.repeat(200_000)}`);
  refusal(`FROM ${'a-'.repeat(200_000)}`);
  refusal(`FROM x\nCOPY ${'--a '.repeat(100_000)}`);
  expect(performance.now() - started).toBeLessThan(3000);
});

test('a Dockerfile that is made to keep its reader busy is refused at once', () => {
  const doubling = `ARG A=aaaaaaaaaa\n${'ARG A=$A$A\n'.repeat(40)}FROM x`;
  for (const text of [doubling, `FROM ${'${A:-'.repeat(200_000)}`, `ARG A=${'${A:-'.repeat(200_000)}\nFROM x`]) {
    expect(() => checkDockerfile(text)).toThrow('longer than 4096 characters');
  }
});
