// Arrows point one way: which room of src/ may import which (docs/architecture.md), and no cycles between files.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const source = resolve(import.meta.dirname, '../../src');

const allowed: Record<string, readonly string[]> = {
  lib: [],
  config: ['contract', 'lib'],
  contract: ['lib'],
  store: ['lib', 'contract'],
  objects: ['contract', 'lib'],
  relay: ['contract', 'lib'],
  vmm: ['relay', 'contract', 'lib'],
  net: ['lib'],
  build: ['vmm', 'net', 'objects', 'contract', 'lib'],
  node: ['vmm', 'net', 'build', 'objects', 'contract', 'lib'],
  app: ['store', 'objects', 'contract', 'lib'],
  tasks: ['app', 'lib'],
  api: ['app', 'contract', 'lib'],
  gateway: ['relay', 'contract', 'lib'],
  backup: ['store', 'objects', 'vmm', 'node', 'contract', 'lib'],
  scrub: ['store', 'objects', 'vmm', 'node', 'contract', 'lib'],
};

interface Import {
  from: string;
  to: string;
}

function imports(): Import[] {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
  );
  return files.flatMap((name) => {
    const text = readFileSync(join(source, name), 'utf8');
    const found = [...text.matchAll(/(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g)];
    return found.map((match) => ({
      from: name,
      to: relative(source, resolve(source, dirname(name), match[1] ?? '')),
    }));
  });
}

const room = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : 'main');

test('no import goes against the arrows', () => {
  const wrong = imports().filter(({ from, to }) => {
    const [a, b] = [room(from), room(to)];
    return a !== b && a !== 'main' && !allowed[a]?.includes(b);
  });
  expect(wrong).toEqual([]);
});

test('no cycle between files', () => {
  const graph = new Map<string, string[]>();
  for (const { from, to } of imports()) graph.set(from, [...(graph.get(from) ?? []), to]);
  const done = new Set<string>();
  const walk = (file: string, path: string[]): void => {
    if (path.includes(file)) throw new Error(`cycle: ${[...path.slice(path.indexOf(file)), file].join(' → ')}`);
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) walk(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
});
