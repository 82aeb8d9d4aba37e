// The load generator: the same bytes again and again over some connections, one request at a time on each; prints a line of JSON.
import { connect, type Socket } from 'node:net';

/** What the parent gets to know. */
export interface Load {
  requests: number;
  seconds: number;
  medianMs: number;
}

const [port = '', seconds = '', connections = '', encoded = ''] = process.argv.slice(2);
const request = Buffer.from(encoded, 'base64');
const latencies: number[] = [];
let isOver = false;

/** Length of the first whole answer in `bytes`; undefined as long as it is not whole. Throws when it is none of success. */
function answerLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = bytes.toString('latin1', 0, end);
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`refused: ${bytes.toString('latin1', 0, 600)}`);
  const total = end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1]);
  return bytes.length >= total ? total : undefined;
}

function drive(socket: Socket): void {
  let received: Buffer = Buffer.alloc(0);
  let sentAt = 0;
  const send = (): void => {
    sentAt = performance.now();
    socket.write(request);
  };
  socket.setNoDelay(true);
  socket.on('connect', send);
  socket.on('data', (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const length = answerLength(received);
    if (length === undefined) return;
    received = received.subarray(length);
    latencies.push(performance.now() - sentAt);
    if (isOver) socket.destroy();
    else send();
  });
}

const startedAt = performance.now();
for (let i = 0; i < Number(connections); i++) drive(connect(Number(port), '127.0.0.1'));
setTimeout(() => {
  isOver = true;
  const took = (performance.now() - startedAt) / 1000;
  const medianMs = latencies.toSorted((a, b) => a - b)[latencies.length >> 1] ?? 0;
  console.log(JSON.stringify({ requests: latencies.length, seconds: took, medianMs } satisfies Load));
}, Number(seconds) * 1000);
