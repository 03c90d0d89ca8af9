import { pino } from 'pino';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Refused, Unavailable } from '../../src/support/errors.js';
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

describe('what a service refuses', () => {
  const refused = async (): Promise<never> => {
    throw new Refused('wrong password');
  };

  test('ends a role that starts, at once', async () => {
    await expect(new Patience(silent).insist(refused)).rejects.toThrow('wrong password');
  });

  test('is waited for by a role that has served, and logged again every minute', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const warnings: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line).msg) });
    const stop = new AbortController();
    const patience = new Patience(log);
    patience.hasServed = true;
    const [first, second] = [patience.insist(refused, stop.signal), patience.insist(refused, stop.signal)];
    const ended = Promise.allSettled([first, second]);
    await vi.advanceTimersByTimeAsync(150_000);
    expect(warnings).toEqual(['waiting: wrong password', ...Array(2).fill('still waiting: wrong password')]);
    stop.abort(new Error('stopped'));
    await vi.advanceTimersByTimeAsync(5000);
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  test('is no refusal once it is away: an outage is logged once', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const warnings: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line).msg) });
    const stop = new AbortController();
    const away = async (): Promise<never> => {
      throw new Unavailable('away');
    };
    const ended = Promise.allSettled([new Patience(log).insist(away, stop.signal)]);
    await vi.advanceTimersByTimeAsync(150_000);
    expect(warnings).toEqual(['waiting: away']);
    stop.abort(new Error('stopped'));
    await vi.advanceTimersByTimeAsync(5000);
    await ended;
  });
});
