// The client's request body on its way to the application: nothing is read before it is wanted, and never more than a buffer's worth.
import { Readable } from 'node:stream';
import type { Exchange } from './exchange.ts';

/** A stream of its own, because destroying the client's would end its connection before it saw an answer. */
export function bodyOf(exchange: Exchange): Readable {
  const { client } = exchange;
  const source = client.body;
  let started = false;
  const take = (chunk: Buffer): void => {
    exchange.onBytesIn(chunk.length);
    if (!body.push(chunk)) source.pause();
  };
  const finish = (): void => {
    body.push(null);
  };
  const cut = (): void => {
    if (!client.isComplete) body.destroy(new Error('The client has left.'));
  };
  const body = new Readable({
    read() {
      if (!started && client.head.expectsContinue) client.writeContinue();
      started = true;
      source.resume();
    },
    destroy(error, callback) {
      source.off('data', take).off('end', finish).off('close', cut).pause();
      callback(error);
    },
  });
  body.on('error', () => {});
  source.pause();
  source.on('data', take).on('end', finish).on('close', cut);
  return body;
}
