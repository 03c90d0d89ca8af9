import { type Logger, pino } from 'pino';

export type { Logger };

/** JSON lines on standard error, one an event; standard output is for results. */
export function createLogger(role: string, level = 'info'): Logger {
  return pino({ level, base: { role, pid: process.pid } }, pino.destination({ fd: 2, sync: true }));
}
