// Two byte streams, an application's WebSocket and a client's, moved both ways until they end. When it is this host that ends the application's,
// the client is told so in the words of its protocol: a close frame, where the application's own frames leave room for one.
import { type Duplex, finished } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';
import { type Farewell, farewellAfter, farewellMs } from './farewell.ts';
import { encodeClose, FrameBoundary } from './web-socket-frames.ts';

/** How long one side may last when the other has closed, to take what is on its way. */
const outlastMs = 5_000;

/** A failure of one side breaks the other, as it would without us. The activity ends when both are closed. */
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
    const farewell = farewellAfter(error);
    if (farewell && boundary.mayClose && client.writable) sayGoodbye(client, farewell);
    else client.destroy();
  });
  finished(client, (error) => error && application.destroy());
  outlives(client, application);
  outlives(application, client);
  let open = 2;
  const closed = (): void => {
    open -= 1;
    if (open === 0) activity.end();
  };
  application.once('close', closed);
  client.once('close', closed);
}

/** What the client still sends goes nowhere, but its own end is waited for. */
function sayGoodbye(client: Duplex, { code, reason }: Farewell): void {
  const timer = setTimeout(() => client.destroy(), farewellMs);
  client.once('close', () => clearTimeout(timer));
  client.once('end', () => client.destroy());
  client.resume();
  client.end(encodeClose(code, reason));
}

/** When `gone` has closed, nobody reads what `other` still says: it is read and dropped, or `other` would wait for a reader for ever. */
function outlives(other: Duplex, gone: Duplex): void {
  gone.once('close', () => {
    if (other.destroyed) return;
    other.resume();
    const timer = setTimeout(() => other.destroy(), outlastMs);
    other.once('close', () => clearTimeout(timer));
  });
}
