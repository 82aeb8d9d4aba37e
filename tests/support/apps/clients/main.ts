// An application that real clients talk to, in each of the ways that the endpoint has for it.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttp2Server, createSecureServer } from 'node:http2';
import { startEcho } from './echo-service.ts';
import { ports } from './ports.ts';
import { serveSockets } from './sockets.ts';
import { answer } from './web.ts';

createHttp2Server(answer).listen(ports.http2);
const identity = { key: readFileSync('app.key'), cert: readFileSync('app.crt') };
createSecureServer({ ...identity, allowHTTP1: true }, answer).listen(ports.tls);
await startEcho(`127.0.0.1:${ports.grpc}`);
// The last one: an application that listens on 8080 is taken for started.
const plain = createServer(answer);
serveSockets(plain);
plain.listen(ports.http);
