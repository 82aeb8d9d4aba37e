import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hostResolver } from './host-resolver.ts';

test.each([
  ['nameserver 192.168.1.1\nnameserver 8.8.8.8\n', '192.168.1.1'],
  ['# nameserver 1.1.1.1\nsearch lan\nnameserver 127.0.0.53\n', undefined],
  ['nameserver fd00::1\nnameserver 127.0.0.1\n nameserver 10.0.0.2 # lan\n', '10.0.0.2'],
  ['nameserver evil;drop\n', undefined],
  ['', undefined],
])('%j', async (text, expected) => {
  const directory = await mkdtemp(join(tmpdir(), 'resolver-'));
  try {
    await writeFile(join(directory, 'resolv.conf'), text);
    expect(await hostResolver(join(directory, 'resolv.conf'))).toBe(expected);
    expect(await hostResolver(join(directory, 'missing'))).toBeUndefined();
  } finally {
    await rm(directory, { recursive: true });
  }
});
