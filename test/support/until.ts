import { setTimeout as sleep } from 'node:timers/promises';

/** Far more than anything takes: reached only when something hangs. */
const deadlineSeconds = 60;
const pollMilliseconds = 20;

/**
 * Asks until the condition is true and answers its value. A condition that throws (an expectation, a service that is
 * coming back) is not yet true; the last error is told at the deadline. `what` finishes the sentence 'waited until …'.
 */
export async function until<T>(condition: () => T | Promise<T>, what: string, seconds = deadlineSeconds): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    let last: { value: T } | { error: unknown };
    try {
      last = { value: await condition() };
      if (last.value) return last.value;
    } catch (error) {
      last = { error };
    }
    if (performance.now() > deadline) {
      const seen = 'error' in last ? String(last.error) : JSON.stringify(last.value);
      throw new Error(`waited ${seconds} s in vain until ${what}; last seen: ${seen}`, {
        cause: 'error' in last ? last.error : undefined,
      });
    }
    await sleep(pollMilliseconds);
  }
}
