import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { Unavailable } from '../../src/support/errors.js';
import { Patience } from '../../src/support/patience.js';

const silent = pino({ level: 'silent' });
const hanging = () => new Promise<never>(() => {});

describe('a call that hangs', () => {
  test('holds up nobody who is told to stop', async () => {
    const stop = new AbortController();
    const calling = new Patience(silent).insist(hanging, stop.signal);
    stop.abort(new Error('stopped'));
    await expect(calling).rejects.toThrow('stopped');
  });

  test('is given up by a command that waits only so long', async () => {
    await expect(new Patience(silent, 20).insist(hanging)).rejects.toThrow(Unavailable);
  });
});

test('a call that ends soon after the stop is heard all the same', async () => {
  const stop = new AbortController();
  const calling = new Patience(silent).insist(async () => {
    stop.abort(new Error('stopped'));
    return 'its answer';
  }, stop.signal);
  expect(await calling).toBe('its answer');
});
