// Every wait has a deadline. These helpers bound a promise or poll a condition, and say what was waited for.
import { Fault } from './errors.ts';

/** Resolves as `promise` does, or rejects with `deadline_exceeded` after `ms`. Does not cancel the work itself. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let handle: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    handle = setTimeout(() => reject(new Fault('deadline_exceeded', { what, ms })), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(handle);
  }
}

/** Resolves after `ms`, or rejects with `aborted` as soon as `signal` fires. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new Fault('aborted', { what: 'The wait' }));
    const onAbort = (): void => {
      clearTimeout(handle);
      reject(new Fault('aborted', { what: 'The wait' }));
    };
    const handle = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Resolves as `promise` does, or rejects with `aborted` as soon as `signal` fires. Does not cancel the work itself. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, what: string, promise: Promise<T>): Promise<T> {
  if (!signal) return promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new Fault('aborted', { what }));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
