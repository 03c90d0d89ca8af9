import {
  type Beat,
  type ErrorGroup,
  type Freshness,
  type Kind,
  kinds,
  type Now,
  type RoleSight,
  type Source,
  sources,
} from '../api.js';
import { beatsOption, type Chart, chartIn } from './charts.js';
import { button, element, part, table } from './dom.js';
import { ago, brief, count } from './format.js';
import { palette } from './palette.js';

/** A quarter of an hour of seconds. */
const beatsKept = 900;
const kindTitles = {
  stable: 'Stable',
  unstable: 'Unstable',
  error: 'Errors',
  running: 'Running',
  queue: 'Waiting',
} as const;

/** The server tells once a second. */
const serverStaleMs = 5000;

/** What goes on: numbers, lists, roles, errors, and the last quarter of an hour. */
export class NowView {
  private readonly chart: Chart = chartIn(part('beats'));
  private troubles = '';
  private told: { now: Now; at: number } | undefined;

  constructor(
    private readonly beats: Beat[],
    private readonly choosePoint: (code: string) => void,
  ) {}

  show(now: Now): void {
    this.told = { now, at: performance.now() };
    say(part('status'), statusText(now));
    part('status').className = `pill ${statusClass(now)}`;
    const troubles = [...now.troubles, ...now.damage.map(mended)];
    if (this.troubles !== troubles.join('\n')) {
      this.troubles = troubles.join('\n');
      part('troubles').replaceChildren(...troubles.map((text) => element('p', {}, text)));
    }
    part('tiles').replaceChildren(...tilesOf(now.rows, now.counts, 'database'), ...paceTiles(now));
    showBar(now.counts, now.rows);
    part('lists').replaceChildren(listTable(now));
    part('roles').replaceChildren(rolesTable(now.roles, this.choosePoint));
    part('errors').replaceChildren(errorsTable(now.errors));
    if (now.rate !== null) this.beats.push({ at: now.at, rate: now.rate, frontier: now.frontier });
    if (this.beats.length > beatsKept) this.beats.shift();
    this.showAges();
    this.draw();
  }

  /** Beside every figure: how old it is. Those of a service that should have answered again are grey. */
  showAges(): void {
    if (!this.told) return;
    const { now, at } = this.told;
    const silentMs = performance.now() - at;
    for (const place of document.querySelectorAll<HTMLElement>('[data-age-of]')) {
      const from = (place.dataset.ageOf ?? '').split(' ') as Source[];
      const { text, stale } = ageOf(
        from.map((source) => now.fresh[source]),
        silentMs,
      );
      place.textContent = text;
      place.closest('.aged')?.classList.toggle('stale', stale);
    }
  }

  draw(): void {
    this.chart.setOption(beatsOption(this.beats, palette()), { notMerge: true });
  }
}

/** The shares of the states as one bar. */
export function showBar(counts: Record<Kind, number>, rows: number): void {
  const parts = kinds.toReversed().map((kind) => {
    const made = element('i', { class: kind });
    made.style.width = `${(100 * counts[kind]) / Math.max(1, rows)}%`;
    if (counts[kind] > 0) made.style.minWidth = '4px'; // However few: they are there.
    return made;
  });
  const words = kinds.toReversed().map((kind) => `${kindTitles[kind].toLowerCase()} ${count(counts[kind])}`);
  part('bar').replaceChildren(...parts);
  part('bar').setAttribute('aria-label', `Points by state: ${words.join(', ')}`);
}

/** The age of the oldest. */
function ageOf(all: readonly Freshness[], silentMs: number): { text: string; stale: boolean } {
  const stale = silentMs > serverStaleMs || all.some((one) => one.stale);
  if (all.some(({ ageMs }) => ageMs === null)) return { text: 'not seen yet', stale };
  return { text: ago(Math.max(...all.map(({ ageMs }) => ageMs ?? 0)) + silentMs), stale };
}

/** Changes a text only where it differs: those who listen to the page are told of changes. */
function say(place: HTMLElement, text: string): void {
  if (place.textContent !== text) place.textContent = text;
}

const mended = (damage: string) => `Redis lost something, a master will mend it: ${damage}`;

function statusText({ fresh, kill, done, whole, rows, counts, frontier, roles }: Now): string {
  const silent = sources.filter((source) => fresh[source].stale);
  const names = silent.map((source) => (source === 'redis' ? 'Redis' : 'the database'));
  if (silent.length > 0) return `no answer from ${names.join(' and ')}: figures in grey are old`;
  if (!whole) return `reading the table: ${count(rows)} rows`;
  if (kill) return kill === 'drain' ? 'kill switch on: running points finish' : 'kill switch on';
  if (done) return 'the search is over';
  if (rows === 0) return 'no point yet';
  const isAlive = (wanted: string) => roles.some(({ role, alive }) => role === wanted && alive);
  if (frontier === 0) {
    const end = isAlive('sql-client-master') ? 'the master confirms the end' : 'no master runs to confirm the end';
    return `all ${count(rows)} points are settled; ${end}`;
  }
  const left = counts.queue + counts.running;
  if (left > 0 && !isAlive('worker')) return `${count(left)} points to run, but no worker runs`;
  return left > 0
    ? `the search goes on: ${count(left)} points to run`
    : 'the search goes on: proposals wait for a master';
}

function statusClass({ kill, done, troubles }: Now): string {
  if (troubles.length > 0) return 'lost';
  if (kill) return 'halted';
  return done ? 'over' : 'going';
}

/** A figure; `from` names the services that tell it, if they tell it again and again. */
function tile(title: string, value: string, { kind = '', from = '' }: { kind?: string; from?: string }): HTMLElement {
  return element(
    'div',
    { class: `tile aged ${kind}` },
    element('dt', {}, title),
    element('dd', { 'data-tile': title }, value),
    from === '' ? null : element('dd', { class: 'age', 'data-age-of': from }),
  );
}

/** Rows by state. */
export function tilesOf(rows: number, counts: Record<Kind, number>, from = ''): HTMLElement[] {
  return [
    tile('Points', count(rows), { from }),
    ...kinds.toReversed().map((kind) => tile(kindTitles[kind], count(counts[kind]), { kind, from })),
  ];
}

function paceTiles({ rate, frontier, roles }: Now): HTMLElement[] {
  return [
    tile('Settled a second', rate === null ? '–' : brief(Number(rate.toPrecision(3))), { from: 'redis' }),
    tile('Frontier', count(frontier), { from: 'redis database' }),
    tile('Workers', count(roles.filter(({ role, alive }) => role === 'worker' && alive).length), { from: 'redis' }),
  ];
}

function listTable({ lists, leases, batches, dropped }: Now): HTMLElement {
  const rows: [string, string][] = Object.entries(lists).map(([name, length]) => [name, count(length)]);
  rows.push(['leased to workers', count(leases)], ['in batches', count(batches)]);
  if (dropped > 0) rows.push(['kept out by maxPoints', count(dropped)]);
  return table(['list', '#elements'], rows, 'Lists in Redis');
}

function rolesTable(roles: readonly RoleSight[], choose: (code: string) => void): HTMLElement {
  if (roles.length === 0) return element('p', { class: 'quiet' }, 'No role has given a sign of life lately.');
  const rows = roles.map((role) => {
    const points = element('span', {}, ...role.running.map((code) => button(code, () => choose(code), 'link code')));
    const slots = role.slots === null ? '' : `${Math.min(role.running.length, role.slots)} of ${role.slots}`;
    const where = role.benched === null ? points : element('span', {}, `benched: ${role.benched}`);
    return [
      role.role,
      element('span', { class: 'code' }, role.id),
      ago(role.silentMs),
      slots,
      role.ended === null ? '' : count(role.ended),
      where,
    ];
  });
  const made = table(['role', 'id', 'last seen', '#slots busy', '#ended', 'points now'], rows, 'Roles');
  for (const [index, role] of roles.entries()) if (!role.alive) made.tBodies[0]?.rows[index]?.classList.add('dead');
  return made;
}

export function errorsTable(errors: readonly ErrorGroup[]): HTMLElement {
  if (errors.length === 0) return element('p', { class: 'quiet' }, 'None.');
  return table(
    ['#count', 'kind', '~message'],
    errors.map(({ kind, message, count: number }) => [count(number), kind, message]),
    'Errors by message',
  );
}
