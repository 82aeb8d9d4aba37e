// Two byte streams, an application's WebSocket and a client's, moved both ways until they end.
import { type Duplex, finished } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';

/** How long one side may last when the other has closed, to take what is on its way. */
const outlastMs = 5_000;

/** A failure of one side breaks the other. The activity ends when both are closed. */
export function splice(client: Duplex, application: Duplex, activity: Activity): void {
  application.on('error', () => {});
  client.on('data', () => activity.touch());
  client.pipe(application);
  application.pipe(client);
  // A clean end passes through the pipes; anything else ends both sides.
  finished(application, (error) => error && client.destroy());
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

/** When `gone` has closed, nobody reads what `other` still says: it is read and dropped, or `other` would wait for a reader for ever. */
function outlives(other: Duplex, gone: Duplex): void {
  gone.once('close', () => {
    if (other.destroyed) return;
    other.resume();
    const timer = setTimeout(() => other.destroy(), outlastMs);
    other.once('close', () => clearTimeout(timer));
  });
}
