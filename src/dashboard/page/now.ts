import { type Beat, type ErrorGroup, type Kind, kinds, type Now, type RoleSight } from '../api.js';
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

/** What goes on: numbers, lists, roles, errors, and the last quarter of an hour. */
export class NowView {
  private readonly chart: Chart = chartIn(part('beats'));

  constructor(
    private readonly beats: Beat[],
    private readonly choosePoint: (code: string) => void,
  ) {}

  show(now: Now): void {
    part('status').textContent = statusText(now);
    part('status').className = `pill ${statusClass(now)}`;
    part('troubles').replaceChildren(
      ...[...now.troubles, ...now.damage.map(mended)].map((text) => element('p', {}, text)),
    );
    part('tiles').replaceChildren(...tilesOf(now.rows, now.counts), ...paceTiles(now));
    showBar(now.counts, now.rows);
    part('lists').replaceChildren(listTable(now));
    part('roles').replaceChildren(rolesTable(now.roles, this.choosePoint));
    part('errors').replaceChildren(errorsTable(now.errors));
    if (now.rate !== null) this.beats.push({ at: now.at, rate: now.rate, frontier: now.frontier });
    if (this.beats.length > beatsKept) this.beats.shift();
    this.draw();
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
    return made;
  });
  const words = kinds.toReversed().map((kind) => `${kindTitles[kind].toLowerCase()} ${count(counts[kind])}`);
  part('bar').replaceChildren(...parts);
  part('bar').setAttribute('aria-label', `Points by state: ${words.join(', ')}`);
}

const mended = (damage: string) => `Redis lost something, a master will mend it: ${damage}`;

function statusText({ kill, done, whole, rows, counts }: Now): string {
  if (!whole) return `reading the table: ${count(rows)} rows`;
  if (kill) return kill === 'drain' ? 'kill switch on: running points finish' : 'kill switch on';
  if (done) return 'the search is over';
  return rows === 0 ? 'no point yet' : `the search goes on: ${count(counts.queue + counts.running)} points to run`;
}

function statusClass({ kill, done, troubles }: Now): string {
  if (troubles.length > 0) return 'lost';
  if (kill) return 'halted';
  return done ? 'over' : 'going';
}

function tile(title: string, value: string, kind = ''): HTMLElement {
  return element(
    'div',
    { class: `tile ${kind}` },
    element('dt', {}, title),
    element('dd', { 'data-tile': title }, value),
  );
}

/** Rows by state. */
export function tilesOf(rows: number, counts: Record<Kind, number>): HTMLElement[] {
  return [
    tile('Points', count(rows)),
    ...kinds.toReversed().map((kind) => tile(kindTitles[kind], count(counts[kind]), kind)),
  ];
}

function paceTiles({ rate, frontier, roles }: Now): HTMLElement[] {
  return [
    tile('Settled a second', rate === null ? '–' : brief(Number(rate.toPrecision(3)))),
    tile('Frontier', count(frontier)),
    tile('Workers', count(roles.filter(({ role, alive }) => role === 'worker' && alive).length)),
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
