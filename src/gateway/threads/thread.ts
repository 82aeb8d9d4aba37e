// What runs in a thread of the gateway: a whole gateway, with what the server's thread tells in its own memory.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../lib/clock.ts';
import { Fault, faultWords } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { createGateway } from '../gateway.ts';
import type { TokenKey } from '../key-ring.ts';
import { createTokens } from '../token.ts';
import { EndpointTable } from './endpoint-table.ts';
import type { FromThread, Order, ThreadSetUp, ToThread } from './messages.ts';

const setUp = workerData as ThreadSetUp;
const server = serversPort();
const taken = new Int32Array(setUp.taken);
const tell = (message: FromThread): void => server.postMessage(message);

const table = new EndpointTable(setUp.endpoints, {
  counter: { index: setUp.index, clock: systemClock, endIsActivity: setUp.endIsActivity },
  ask: (microvmId) => tell({ kind: 'awake', microvmId }),
  catchUp,
});

let keys = received(setUp.keys);
const keyRing = {
  current: (): TokenKey => {
    const [newest] = keys;
    if (!newest) throw new Fault('internal', { what: 'There is no token key.' });
    return newest;
  },
  find: (kid: string): TokenKey | undefined => {
    const known = keys.find((key) => key.kid === kid);
    if (known) return known;
    catchUp();
    return keys.find((key) => key.kid === kid);
  },
};

const gateway = createGateway({
  dataPlane: table,
  tokens: createTokens(keyRing),
  clock: systemClock,
  log: createLog(setUp.logLevel),
  suffix: setUp.suffix,
  tls: setUp.tls,
  settings: setUp.settings,
});

server.on('message', take);
tell({ kind: 'ready' });

/** What has been sent is here, although its event has not come yet. */
function catchUp(): void {
  for (let next = receiveMessageOnPort(server); next; next = receiveMessageOnPort(server)) take(next.message);
}

function take(message: ToThread): void {
  Atomics.add(taken, 0, 1);
  switch (message.kind) {
    case 'endpoint':
      table.apply(message.event);
      break;
    case 'awoke':
      table.awoke(message.microvmId, message.fault);
      break;
    case 'keys':
      keys = received(message.keys);
      break;
    case 'certificate':
      gateway.useCertificate(message.tls);
      break;
    case 'order':
      obey(message.order).then(
        (port) => tell({ kind: 'done', id: message.id, ...(port === undefined ? {} : { port }) }),
        (error: unknown) => tell({ kind: 'done', id: message.id, fault: faultWords(error) }),
      );
  }
}

async function obey(order: Order): Promise<number | undefined> {
  switch (order.do) {
    case 'listen':
      return (await gateway.listen(order.host, order.port, order.shared)).port;
    case 'listenFor':
      return (await gateway.listenFor(order.microvmId, order.port)).port;
    case 'closeFor':
      await gateway.closeFor(order.microvmId);
      return undefined;
    case 'close':
      await gateway.close(order.graceMs);
      return undefined;
  }
}

/** Buffers arrive as plain arrays of bytes. */
function received(sent: readonly TokenKey[]): TokenKey[] {
  return sent.map(({ kid, secret }) => ({ kid, secret: Buffer.from(secret) }));
}

function serversPort(): NonNullable<typeof parentPort> {
  if (!parentPort) throw new Error('This file is the start of a thread of the gateway.');
  return parentPort;
}
