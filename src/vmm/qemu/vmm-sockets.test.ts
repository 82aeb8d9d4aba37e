// A VMM's directory is its own: what is in it is looked at before it is used.
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectQmp, connectSoon } from './vmm-sockets.ts';

let directory: string;
let server: Server;
let connections = 0;
const at = (name: string): string => join(directory, name);
const soon = (): AbortSignal => AbortSignal.timeout(2_000);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wb-sockets-'));
  connections = 0;
  server = createServer((socket) => {
    connections++;
    socket.on('error', () => {}).write('hello\n');
  });
  await new Promise<void>((resolve) => server.listen(at('real.sock'), resolve));
});
afterEach(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

test('a socket is connected to, also one that appears a little later', async () => {
  const connecting = connectSoon(at('later.sock'), soon());
  const later = createServer((socket) => socket.end());
  setTimeout(() => later.listen(at('later.sock')), 20);
  (await connecting).destroy();
  later.close();
  (await connectSoon(at('real.sock'), soon())).destroy();
  expect(connections).toBe(1);
});

test('a link in its place is not followed', async () => {
  await symlink(at('real.sock'), at('link.sock'));
  await expect(connectSoon(at('link.sock'), soon())).rejects.toThrow('has no socket at');
  await expect(connectQmp(at('link.sock'), soon())).rejects.toThrow('has no socket at');
  expect(connections).toBe(0);
});

test('neither is a file', async () => {
  await writeFile(at('file.sock'), '');
  await expect(connectSoon(at('file.sock'), soon())).rejects.toThrow('has no socket at');
});

test('what never comes is not waited for', async () => {
  await expect(connectSoon(at('never.sock'), AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'aborted' });
});
