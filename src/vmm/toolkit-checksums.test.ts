import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { verifyToolkit } from './toolkit-checksums.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-toolkit-'));
  await writeFile(join(directory, 'vmlinuz'), 'kernel');
  await writeFile(join(directory, 'initramfs'), 'agent');
});
afterEach(() => rm(directory, { recursive: true }));

const verify = () => verifyToolkit(directory, ['vmlinuz', 'initramfs']);

test('files that are as sha256sum has noted them pass, others are refused by name; without a list all pass', async () => {
  await verify();
  execFileSync('sh', ['-c', 'sha256sum vmlinuz initramfs > checksums'], { cwd: directory });
  await verify();
  await writeFile(join(directory, 'initramfs'), 'agenu');
  const damaged = { code: 'toolkit_damaged', facts: { file: join(directory, 'initramfs') } };
  await expect(verify()).rejects.toMatchObject(damaged);
  await expect(verify()).rejects.toThrow('sh scripts/setup.sh --fresh');
});

test('a list that is none is refused', async () => {
  await writeFile(join(directory, 'checksums'), 'nonsense\n');
  await expect(verify()).rejects.toMatchObject({ code: 'toolkit_damaged' });
});
