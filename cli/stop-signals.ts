// SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.
import { constants } from 'node:os';

type StopSignal = 'SIGINT' | 'SIGTERM';

/** The part of `process` that is used. */
export interface SignalSource {
  on(event: StopSignal, listener: (signal: StopSignal) => void): unknown;
  off(event: StopSignal, listener: (signal: StopSignal) => void): unknown;
}

export interface StopSignals {
  /** Fires on the first signal. */
  asked: AbortSignal;
  /** Asks for an orderly end without a signal. */
  ask(): void;
  dispose(): void;
}

/** `atOnce` gets the exit code of the second signal. */
export function listenForStop(source: SignalSource, atOnce: (exitCode: number) => void): StopSignals {
  const controller = new AbortController();
  const listener = (signal: StopSignal): void => {
    if (controller.signal.aborted) atOnce(128 + constants.signals[signal]);
    else controller.abort();
  };
  source.on('SIGINT', listener);
  source.on('SIGTERM', listener);
  return {
    asked: controller.signal,
    ask: () => controller.abort(),
    dispose: () => {
      source.off('SIGINT', listener);
      source.off('SIGTERM', listener);
    },
  };
}

/** Resolves when the signal fires. */
export function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
