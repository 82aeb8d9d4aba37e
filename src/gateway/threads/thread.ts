// What runs in a thread of the gateway: a whole gateway, with what the server's thread tells in its own memory.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../lib/clock.ts';
import { faultWords } from '../../lib/errors.ts';
import { createLog } from '../../lib/log.ts';
import { openAccounting } from '../accounting.ts';
import { createGateway } from '../gateway.ts';
import type { TlsKeyPair } from '../listener.ts';
import { createTokenReader } from '../token.ts';
import { EndpointTable } from './endpoint-table.ts';
import { FollowedTrust, TrustVersion } from './followed-trust.ts';
import type { FromThread, Order, Result, ThreadSetUp, ToThread } from './messages.ts';

const setUp = workerData as ThreadSetUp;
const server = serversPort();
const taken = new Int32Array(setUp.taken);
const tell = (message: FromThread): void => server.postMessage(message);

const table = new EndpointTable(setUp.endpoints, {
  counter: { index: setUp.index, clock: systemClock, endIsActivity: setUp.endIsActivity },
  ask: (microvmId) => tell({ kind: 'awake', microvmId }),
  catchUp,
});

const trust = new FollowedTrust(setUp.trust, new TrustVersion(setUp.trustVersion), catchUp);
const tokens = createTokenReader(trust);
const log = createLog(setUp.logLevel);
const accounting = await openAccounting({
  ...{ trust, accessLog: setUp.accessLog, clock: systemClock, log },
  ownerOf: (microvmId) => table.ownerOf(microvmId),
});
table.onLeave((microvmId) => tokens.forget(microvmId));
table.onForget((microvmId) => accounting.forget(microvmId));

const gateway = createGateway({
  dataPlane: table,
  tokens,
  clock: systemClock,
  log,
  suffix: setUp.suffix,
  tls: received(setUp.tls),
  settings: setUp.settings,
  onAnswered: accounting.onAnswered,
  admitted: accounting.admitted,
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
    case 'trust':
      trust.replace(message.trust);
      break;
    case 'reopenLog':
      accounting.reopenLog();
      break;
    case 'certificate':
      gateway.useCertificate(received(message.tls));
      break;
    case 'order':
      obey(message.order).then(
        (result) => tell({ kind: 'done', id: message.id, result }),
        (error: unknown) => tell({ kind: 'failed', id: message.id, fault: faultWords(error) }),
      );
  }
}

async function obey(order: Order): Promise<Result> {
  switch (order.do) {
    case 'listen':
      return gateway.listen(order.host, order.port, order.shared);
    case 'listenFor':
      return gateway.listenFor(order.microvmId, order.port);
    case 'closeFor':
      await gateway.closeFor(order.microvmId);
      return {};
    case 'close':
      await gateway.close(order.graceMs);
      await accounting[Symbol.asyncDispose]();
      return {};
    case 'count':
      return { traffic: accounting.snapshot(gateway.connections()) };
  }
}

/** A buffer arrives as a plain array of bytes. */
function received({ ticketKeys, ...pair }: TlsKeyPair): TlsKeyPair {
  return { ...pair, ...(ticketKeys ? { ticketKeys: Buffer.from(ticketKeys) } : {}) };
}

function serversPort(): NonNullable<typeof parentPort> {
  if (!parentPort) throw new Error('This file is the start of a thread of the gateway.');
  return parentPort;
}
