import { lastLines } from '../sandboxes/log.js';
import type { Outcome } from './simulator.js';

/** A run that failed: what happened in one sentence, then the last lines of what it printed. */
export function failure(sentence: string, log: string, errorKind: 'program' | 'timeout' = 'program'): Outcome {
  const lines = lastLines(log);
  return { kind: 'error', errorKind, message: lines === '' ? sentence : `${sentence}\n${lines}` };
}
