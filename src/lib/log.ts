// Where every log line of the product goes. One name per event, facts as fields; wrapped so that pino is named here only.
import { destination, pino } from 'pino';

export type LogLevel = 'silent' | 'error' | 'warn' | 'info';

export interface Log {
  /** From which level on events are written: other threads, which have a log of their own, keep to it. */
  readonly level: LogLevel;
  info(event: string, facts?: Record<string, unknown>): void;
  warn(event: string, facts?: Record<string, unknown>): void;
  error(event: string, facts?: Record<string, unknown>): void;
}

/** Of lines that wait for room; later ones are lost. */
const maxWaitingBytes = 1 << 20;

/** JSON lines on standard error. */
export function createLog(level: LogLevel): Log {
  const lines = destination({ dest: 2, sync: true, maxLength: maxWaitingBytes });
  // A terminal that is gone or a disk that is full ends no server. What could not be written is tried again with the next line.
  lines.on('error', () => {});
  const logger = pino({ level, base: null }, lines);
  return {
    level,
    info: (event, facts) => logger.info({ event, ...facts }),
    warn: (event, facts) => logger.warn({ event, ...facts }),
    error: (event, facts) => logger.error({ event, ...facts }),
  };
}

export const silentLog: Log = { level: 'silent', info() {}, warn() {}, error() {} };
