// Metrics without a signature, for Prometheus on this machine: one path on the loopback address.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expositionType } from '../app/metrics/exposition.ts';
import type { Log } from '../lib/log.ts';
import { createServer } from '../lib/node-http.ts';

export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

/** A page in a browser may make a name of its own lead to this address: then the host is that name. */
const localHost = /^(localhost|127\.0\.0\.1)(:\d{1,5})?$/;

/** Rejects with what listening fails with. */
export async function startMetricsServer(port: number, read: () => Promise<string>, log: Log): Promise<MetricsServer> {
  const server = createServer({ maxHeaderSize: 16 * 1024, requestTimeout: 10_000 }, (req, res) => {
    const say = (status: number, type: string, body: string): void => {
      res.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' });
      res.end(req.method === 'HEAD' ? '' : body);
    };
    const plain = 'text/plain; charset=utf-8';
    if (!localHost.test(req.headers.host ?? '')) return say(403, plain, 'Ask for localhost or 127.0.0.1.\n');
    if (req.url !== '/metrics') return say(404, plain, 'There is only /metrics.\n');
    if (req.method !== 'GET' && req.method !== 'HEAD') return say(405, plain, 'GET or HEAD only.\n');
    read().then(
      (text) => say(200, expositionType, text),
      (error: unknown) => {
        log.error('metrics.failed', { error: String(error) });
        say(500, plain, "The metrics could not be read. The server's log says more.\n");
      },
    );
  });
  server.maxConnections = 64;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
