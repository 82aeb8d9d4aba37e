// Two byte streams, an application's WebSocket and a client's, moved both ways until they end.
import { type Duplex, finished } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';

/** A failure of one side breaks the other. The activity ends when both are closed. */
export function splice(client: Duplex, application: Duplex, activity: Activity): void {
  application.on('error', () => {});
  client.on('data', () => activity.touch());
  client.pipe(application);
  application.pipe(client);
  // A clean end passes through the pipes; anything else ends both sides.
  finished(application, (error) => error && client.destroy());
  finished(client, (error) => error && application.destroy());
  let open = 2;
  const closed = (): void => {
    open -= 1;
    if (open === 0) activity.end();
  };
  application.once('close', closed);
  client.once('close', closed);
}
