import { Gauge, Registry } from 'prom-client';
import type { Now } from './api.js';

/** The search for Prometheus; numbers are as fresh as the page's. */
export function metricsOf(search: string, now: () => Now): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ search });
  const gauge = (name: string, help: string, label: string | undefined, read: (now: Now) => Record<string, number>) => {
    new Gauge({
      name: `atmos_fleet_${name}`,
      help,
      registers: [registry],
      labelNames: label ? [label] : [],
      collect() {
        this.reset();
        for (const [key, value] of Object.entries(read(now()))) this.set(label ? { [label]: key } : {}, value);
      },
    });
  };
  const one = (name: string, help: string, read: (now: Now) => number) =>
    gauge(name, help, undefined, (seen) => ({ '': read(seen) }));
  gauge('points', 'Rows in SQL by state', 'state', ({ counts }) => counts);
  gauge('list_length', 'Elements in the Redis lists', 'list', ({ lists }) => lists);
  gauge('roles', 'Processes that gave a sign of life within a lease', 'role', ({ roles }) =>
    countBy(roles.filter(({ alive }) => alive).map(({ role }) => role)),
  );
  one(
    'workers',
    'Workers that gave a sign of life within a lease',
    ({ roles }) => roles.filter(({ role, alive }) => alive && role === 'worker').length,
  );
  one('leases', 'Points leased to workers', ({ leases }) => leases);
  one('frontier', 'Points that wait or run, and proposals not yet let in', ({ frontier }) => frontier);
  one('settled_per_second', 'Points settled a second, over the last minute', ({ rate }) => rate ?? 0);
  one('kill_switch', '1: the kill switch is on', ({ kill }) => Number(kill !== null));
  one('done', '1: the search is over', ({ done }) => Number(done));
  gauge('age_seconds', 'Time since a service was last seen: the figures from it are as old', 'source', ({ fresh }) =>
    Object.fromEntries(
      Object.entries(fresh).flatMap(([source, { ageMs }]) => (ageMs === null ? [] : [[source, ageMs / 1000]])),
    ),
  );
  one('troubles', 'Services that do not answer now', ({ troubles }) => troubles.length);
  return registry;
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
