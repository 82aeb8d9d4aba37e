// Two byte streams, an application's WebSocket and a client's, moved both ways until they end. When it is the MicroVM that leaves, the client is
// told so in the words of its protocol: a close frame, where the application's own frames leave room for one.
import { type Duplex, finished } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';
import { isFault } from '../lib/errors.ts';
import { encodeClose, FrameBoundary } from './web-socket-frames.ts';

/** RFC 6455, 7.4.1. */
export const goingAway = { code: 1001, reason: 'The MicroVM was suspended or has ended.' } as const;

/** How long a client gets to take the close frame and to answer it. */
export const farewellMs = 1_000;

/**
 * An application's stream that ends with a Fault was ended by this host: its MicroVM leaves. Any other failure of one side breaks the other, as it
 * would without us. The activity ends when both are closed.
 */
export function splice(client: Duplex, application: Duplex, activity: Activity): void {
  const boundary = new FrameBoundary();
  application.on('error', () => {});
  client.on('data', () => activity.touch());
  application.on('data', (chunk: Buffer) => boundary.pass(chunk));
  client.pipe(application);
  application.pipe(client);
  // A clean end passes through the pipes; anything else ends both sides.
  finished(application, (error) => {
    if (!error) return;
    if (isFault(error) && boundary.mayClose && client.writable) sayGoodbye(client);
    else client.destroy();
  });
  finished(client, (error) => error && application.destroy());
  let open = 2;
  const closed = (): void => {
    open -= 1;
    if (open === 0) activity.end();
  };
  application.once('close', closed);
  client.once('close', closed);
}

function sayGoodbye(client: Duplex): void {
  const timer = setTimeout(() => client.destroy(), farewellMs);
  client.once('close', () => clearTimeout(timer));
  // What it still sends goes nowhere, but its own end is waited for.
  client.once('end', () => client.destroy());
  client.resume();
  client.end(encodeClose(goingAway.code, goingAway.reason));
}
