// The server as root starts it: with few of root's rights, as the same process, which a signal ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { statusOf } from '../support/process-facts.ts';

const repository = resolve(import.meta.dirname, '../..');

/** Numbers of <linux/capability.h>. */
const numbers: Record<string, number> = {
  ...{
    CHOWN: 0,
    DAC_OVERRIDE: 1,
    FOWNER: 3,
    FSETID: 4,
    KILL: 5,
    SETGID: 6,
    SETUID: 7,
    SETPCAP: 8,
    NET_BIND_SERVICE: 10,
  },
  ...{ NET_ADMIN: 12, SYS_CHROOT: 18, SYS_PTRACE: 19, SYS_ADMIN: 21, SETFCAP: 31 },
};
const maskOf = (names: string[]): bigint =>
  names.reduce((mask, name) => mask | (1n << BigInt(numbers[name] ?? 63)), 0n);

/** Rows of the table in the section on the server. */
async function documented(): Promise<string[]> {
  const text = await readFile(join(repository, 'docs/security.md'), 'utf8');
  const section = text.split('## Privileges of the server')[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name = '']) => name);
}

test('a server that root starts has the documented capabilities and no others, and ends well on SIGTERM', async () => {
  const data = await mkdtemp(join(tmpdir(), 'waterbear-rights-'));
  const args = ['serve', '--data', data, '--driver', 'fake', '--api-port', '0', '--gateway-port', '0'];
  const server = spawn(join(repository, 'bin/waterbear'), args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  try {
    const ended = once(server, 'exit');
    // The channel is that of the process we started: every step on the way became the next one.
    await Promise.race([once(server, 'message'), ended.then(() => Promise.reject(new Error('it ended')))]);
    const status = await statusOf(server.pid ?? 0);
    const wanted = maskOf(await documented());
    expect(wanted).toBe(maskOf(Object.keys(numbers)));
    const own = BigInt(`0x${(await statusOf('self')).CapBnd}`);
    for (const set of ['CapBnd', 'CapPrm', 'CapEff']) expect(BigInt(`0x${status[set]}`)).toBe(wanted & own);
    for (const set of ['CapInh', 'CapAmb']) expect(BigInt(`0x${status[set]}`)).toBe(0n);
    expect(status.Groups).toBe('');
    server.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  } finally {
    server.kill('SIGKILL');
    await rm(data, { recursive: true, force: true });
  }
});
