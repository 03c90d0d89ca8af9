import { type Logger, pino } from 'pino';
import { printableJson } from './text.js';

export type { Logger };

/** Cloud Logging's names of the levels. */
const severities: Record<string, string> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/** The field that groups lines in Cloud Logging; a point's hash has the form of a trace id. */
const traceField = 'logging.googleapis.com/trace';

/**
 * JSON lines on standard error, one an event; standard output is for results. `severity`, `time` and `message` are what Cloud
 * Logging reads; a line about one point (`hash`) carries that as its trace.
 */
export function createLogger(role: string, level = 'info'): Logger {
  return pino(
    {
      level,
      base: { role, pid: process.pid },
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ severity: severities[label] }),
        log: (fields) => (typeof fields.hash === 'string' ? { ...fields, [traceField]: fields.hash } : fields),
      },
    },
    standardError(),
  );
}

/** What is logged of programs and rows does not drive a terminal; that nobody reads it is standard error's own trouble. */
function standardError(): { write(line: string): void } {
  const stream = pino.destination({ fd: 2, sync: true });
  stream.on('error', (error) => process.stderr.emit('error', error));
  return { write: (line) => void stream.write(`${printableJson(line.trimEnd())}\n`) };
}
