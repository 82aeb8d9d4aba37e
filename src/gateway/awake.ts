// The wait of a request for its MicroVM; the body stays unread meanwhile.
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';

/** As `waking`, but rejects with `aborted` when the client leaves and with `deadline_exceeded` after `timeoutMs`, even if `waking` goes on. */
export function untilAwake(waking: Promise<void>, gone: AbortSignal, timeoutMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => finish(() => reject(new Fault('aborted', { what: 'The request' })));
    const late = (): void => finish(() => reject(new Fault('deadline_exceeded', { what: 'The wake', ms: timeoutMs })));
    const timer = clock.after(timeoutMs, late);
    const finish = (settle: () => void): void => {
      timer.cancel();
      gone.removeEventListener('abort', leave);
      settle();
    };
    waking.then(
      () => finish(resolve),
      (error: unknown) => finish(() => reject(error)),
    );
    if (gone.aborted) leave();
    else gone.addEventListener('abort', leave, { once: true });
  });
}
