// The choice of the gateway's port, and real binding where that decides.
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { chooseGatewayPort, whyNotBindable } from './ports.ts';

const probe = (answers: Record<number, string>) => (_: string, port: number) => Promise.resolve(answers[port]);

test('443 if it can be had, else 8443 with the reason, and what was asked for in any case', async () => {
  expect(await chooseGatewayPort('127.0.0.1', undefined, probe({}))).toEqual({ port: 443 });
  expect(await chooseGatewayPort('127.0.0.1', 7000, probe({ 443: 'EACCES' }))).toEqual({ port: 7000 });
  const denied = await chooseGatewayPort('127.0.0.1', undefined, probe({ 443: 'EACCES' }));
  expect(denied).toEqual({ port: 8443, note: expect.stringContaining('needs more rights') });
  const taken = await chooseGatewayPort('127.0.0.1', undefined, probe({ 443: 'EADDRINUSE' }));
  expect(taken).toEqual({ port: 8443, note: expect.stringContaining('is taken') });
});

test('no port at all is an error that names the option', async () => {
  const both = probe({ 443: 'EADDRINUSE', 8443: 'EADDRINUSE' });
  await expect(chooseGatewayPort('127.0.0.1', undefined, both)).rejects.toThrow(/8443.*taken.*--gateway-port/);
  const elsewhere = probe({ 443: 'EADDRNOTAVAIL' });
  await expect(chooseGatewayPort('192.0.2.1', undefined, elsewhere)).rejects.toThrow(/EADDRNOTAVAIL.*--host/);
});

test('a port in use is seen, and free again afterwards', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await whyNotBindable('127.0.0.1', port)).toBe('EADDRINUSE');
  await new Promise((resolve) => server.close(resolve));
  expect(await whyNotBindable('127.0.0.1', port)).toBeUndefined();
});
