// What a TLS proxy in Node costs at least: `node:https` in front of an undici pool, with nothing between.
// usage: forwarder.ts KEY CERTIFICATE UPSTREAM-PORT; tells its port on the channel to its parent.
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type Dispatcher, Pool } from 'undici';

const [keyPath = '', certPath = '', upstreamPort = ''] = process.argv.slice(2);
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });

const relay = (res: ServerResponse): Dispatcher.DispatchHandler => ({
  onRequestStart() {},
  onResponseStart(controller, status) {
    const raw = Array.isArray(controller.rawHeaders) ? controller.rawHeaders.map(String) : [];
    res.writeHead(status, raw);
    res.on('drain', () => controller.resume());
  },
  onResponseData(controller, chunk) {
    if (!res.write(chunk)) controller.pause();
  },
  onResponseEnd() {
    res.end();
  },
  onResponseError(_, error) {
    res.destroy(error);
  },
});

const server = createServer({ key: readFileSync(keyPath), cert: readFileSync(certPath) }, (req, res) => {
  const { url: path = '/', method = 'GET', rawHeaders: headers } = req;
  pool.dispatch({ path, method, headers }, relay(res));
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit());
