import type { Status } from '../view/status.js';

const barWidth = 24;

/** Points per second, between looks and smoothed. */
export class RateMeter {
  private last: { at: number; settled: number } | undefined;
  private rate: number | undefined;

  of(now: Status): number | undefined {
    const at = performance.now();
    const settled = settledOf(now);
    if (this.last && at > this.last.at) {
      const current = (1000 * (settled - this.last.settled)) / (at - this.last.at);
      this.rate = this.rate === undefined ? current : 0.5 * this.rate + 0.5 * current;
    }
    this.last = { at, settled };
    return this.rate;
  }
}

/** `[██████░░] 1,234 settled, 56 to go · 900 stable · 320 unstable · 14 errors · 812/s · 3 workers`. */
export function progressLine(now: Status, rate: number | undefined): string {
  const settled = settledOf(now);
  const open = now.states.queue + now.states.running + now.lists.main_sql_Q;
  const share = settled + open === 0 ? 0 : settled / (settled + open);
  const filled = now.done ? barWidth : Math.floor(share * barWidth);
  const parts = [
    `[${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}] ${number(settled)} settled, ${number(open)} to go`,
    `${number(now.stable)} stable`,
    `${number(now.unstable)} unstable`,
    ...(now.states.error > 0 ? [`${number(now.states.error)} errors`] : []),
    ...(rate === undefined ? [] : [`${number(Math.round(rate))}/s`]),
    `${now.workers} workers`,
    ...(now.done ? ['over'] : now.killed ? ['kill switch on'] : []),
  ];
  return parts.join(' · ');
}

function settledOf({ states }: Status): number {
  return states.completed + states.error;
}

function number(value: number): string {
  return value.toLocaleString('en');
}
