let lastMs = Number.NaN;
let lastText = '';

/** The time of day, ISO 8601, UTC, to the millisecond. Made once a millisecond: short runs come by the thousand. */
export function isoNow(): string {
  const now = Date.now();
  if (now !== lastMs) {
    lastMs = now;
    lastText = new Date(now).toISOString();
  }
  return lastText;
}

/** The monotonic clock that all threads of a process share, ms. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
