// The first words on a connection to the guest agent's relay (docs/guest-protocol.md).
import type { Socket } from 'node:net';
import type { StreamTarget } from '../contract/shell-frames.ts';
import { Fault } from '../lib/errors.ts';

export const describeTarget = (target: StreamTarget): string => (target === 'shell' ? 'the shell' : `port ${target}`);

/** Names the port or the shell, waits for the agent's one-byte answer. Rejects with `guest_failed` or `aborted`; the socket stays the caller's. */
export function relayHandshake(socket: Socket, target: StreamTarget, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (fault?: Fault): void => {
      socket.off('readable', onReadable).off('error', onError).off('end', onEnd).off('close', onEnd);
      signal?.removeEventListener('abort', onAbort);
      if (fault) reject(fault);
      else resolve();
    };
    const fail = (what: string): void => done(new Fault('guest_failed', { what }));
    const onAbort = (): void => done(new Fault('aborted', { what: 'The connection' }));
    const closed =
      target === 'shell' ? 'opens no shell. If its image is from before there were shells, build it again' : '';
    const onError = (cause: Error): void => fail(closed || `could not be reached (${cause.message})`);
    const onEnd = (): void => fail(closed || 'closed the connection');
    const onReadable = (): void => {
      const byte: Buffer | null = socket.read(1);
      if (byte === null) return;
      if (byte.toString('latin1') === '+') done();
      else fail(closed || `has nothing listening on port ${target}`);
    };
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('readable', onReadable).on('error', onError).on('end', onEnd).on('close', onEnd);
    socket.write(`${target}\n`);
  });
}
