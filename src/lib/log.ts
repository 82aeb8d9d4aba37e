// Where every log line of the product goes. One name per event, facts as fields; wrapped so that pino is named here only.
import { destination, pino } from 'pino';

export interface Log {
  info(event: string, facts?: Record<string, unknown>): void;
  warn(event: string, facts?: Record<string, unknown>): void;
  error(event: string, facts?: Record<string, unknown>): void;
}

export type LogLevel = 'silent' | 'error' | 'warn' | 'info';

/** JSON lines on standard error. */
export function createLog(level: LogLevel): Log {
  const logger = pino({ level, base: null }, destination({ dest: 2, sync: true }));
  return {
    info: (event, facts) => logger.info({ event, ...facts }),
    warn: (event, facts) => logger.warn({ event, ...facts }),
    error: (event, facts) => logger.error({ event, ...facts }),
  };
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };
