// One server at a time looks which range of addresses is free and takes it. The lock is an abstract unix socket: it goes with its holder, however that
// ends, and there is one of it for each network namespace, as there is one table of routes.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { pause } from '../lib/deadline.ts';

const name = '\0waterbear-host-network';
const lookMs = 20;
/** Whoever holds it for longer is no server of ours at work, and must not keep others from starting. */
const patienceMs = 5_000;

export async function aloneOnHost<T>(work: () => Promise<T>): Promise<T> {
  const release = await take();
  try {
    return await work();
  } finally {
    release();
  }
}

async function take(): Promise<() => void> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const server = createServer((socket) => socket.destroy()).unref();
    const taken = once(server, 'listening').then(
      () => true,
      () => false,
    );
    server.listen(name);
    if (await taken) return () => void server.close();
    if (performance.now() > end) return () => {};
    await pause(lookMs);
  }
}
