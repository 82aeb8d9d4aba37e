import { request } from 'node:http';
import { expect, test } from 'vitest';
import { silentLog } from '../lib/log.ts';
import { startMetricsServer } from './metrics-server.ts';

function ask(port: number, path = '/metrics', options: { method?: string; host?: string } = {}) {
  const { method = 'GET', host = `localhost:${port}` } = options;
  return new Promise<{ status: number | undefined; type: string | undefined; body: string }>((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, method, headers: { host } }, (res) => {
      let body = '';
      res.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      res.on('end', () => resolve({ status: res.statusCode, type: res.headers['content-type'], body }));
    });
    req.on('error', reject).end();
  });
}

test('one path, to callers on this machine that mean this machine', async () => {
  let fails = false;
  const read = async () => {
    if (fails) throw new Error('secret');
    return 'x 1\n';
  };
  await using server = await startMetricsServer(0, read, silentLog);
  const { port } = server;
  expect(await ask(port)).toEqual({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: 'x 1\n' });
  expect(await ask(port, '/metrics', { method: 'HEAD', host: '127.0.0.1' })).toMatchObject({ status: 200, body: '' });
  expect(await ask(port, '/metrics', { host: `rebound.example:${port}` })).toMatchObject({ status: 403 });
  expect(await ask(port, '/other')).toMatchObject({ status: 404 });
  expect(await ask(port, '/metrics', { method: 'POST' })).toMatchObject({ status: 405 });
  fails = true;
  const { status, body } = await ask(port);
  expect([status, body.includes('secret')]).toEqual([500, false]);
});
