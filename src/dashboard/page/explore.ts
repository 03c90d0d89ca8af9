import { type Cells, type Dots, type Field, type Kind, kinds, type Limit, type Selection } from '../api.js';
import { type Chart, chartIn, inDrawingOrder, linesOption, mapOption } from './charts.js';
import { get } from './client.js';
import { button, element, labelled, part, select, table } from './dom.js';
import { brief, count, describeMap, leftOutText, listOf, titleOf, withUnit } from './format.js';
import { palette } from './palette.js';

const mostLines = 800;
const listedPoints = 60;
const mostAxes = 12;
const byState = 'state';

/** The map, the parallel coordinates and the list of points: three views of one selection. */
export class Explorer {
  private readonly map: Chart = chartIn(part('map'));
  private readonly parallel: Chart = chartIn(part('parallel'));
  private fields: Field[] = [];
  private x = '';
  private y = '';
  private colour = byState;
  private shape: 'cells' | 'circles' = 'cells';
  private leavesOutputsOut = false;
  private wanted = new Set<Kind>(kinds);
  private limits = new Map<string, Limit>();
  private shown: { cells?: Cells; lines?: Dots } = {};
  private controlsFor = '';
  /** How often the map was drawn with new numbers. */
  private drawn = 0;
  private stale = false;
  private busy = false;

  constructor(
    /** What the search takes steps in: the first two make the first map. */
    private readonly stepped: readonly string[],
    private readonly choosePoint: (hash: string) => void,
  ) {
    this.map.on('click', (event) => this.clicked(event as { dataIndex: number }));
    this.parallel.on('axisareaselected', () => this.brushed());
    for (const form of ['controls', 'limits']) part(form).addEventListener('submit', (event) => event.preventDefault());
  }

  /** Asks for everything anew; while it does, later calls are one. */
  async refresh(leavesOutputsOut = this.leavesOutputsOut): Promise<void> {
    this.leavesOutputsOut = leavesOutputsOut;
    this.stale = true;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.stale) {
        this.stale = false;
        await this.load();
      }
    } catch (error) {
      part('map-caption').textContent = `The map cannot be had: ${(error as Error).message}`;
    } finally {
      this.busy = false;
    }
  }

  draw(): void {
    this.drawMap();
    if (this.shown.lines) this.drawLines(this.shown.lines);
  }

  private drawMap(): void {
    const { cells } = this.shown;
    if (!cells) return;
    const field = this.field(this.colour);
    this.map.setOption(mapOption(cells, this.fields, { field, index: 0 }, palette(), this.shape), { notMerge: true });
  }

  private async load(): Promise<void> {
    this.fields = await get<Field[]>('/api/fields');
    this.showControls();
    if (!this.field(this.x) || !this.field(this.y)) return;
    const selection = JSON.stringify(this.selection());
    // The map first: it is what people wait for.
    const { lines: former } = this.shown;
    const colour = this.colour === byState ? {} : { colour: this.colour };
    const cells = inDrawingOrder(await get<Cells>('/api/cells', { x: this.x, y: this.y, ...colour, selection }));
    this.shown = { cells, ...(former && { lines: former }) };
    this.caption(cells);
    this.drawMap();
    part('map').dataset.drawn = String(++this.drawn);
    const fields = this.axes().join(',');
    const lines = await get<Dots>('/api/dots', { fields, most: String(mostLines), selection });
    this.shown = { ...this.shown, lines };
    this.drawLines(lines);
    this.list(lines);
    part('parallel').dataset.drawn = String(this.drawn);
  }

  private selection(): Selection {
    return { limits: [...this.limits.values()], kinds: [...this.wanted] };
  }

  private field(name: string): Field | undefined {
    return this.fields.find((field) => field.name === name);
  }

  /** Fields that differ from row to row. */
  private varying(): Field[] {
    return this.fields.filter(({ min, max }) => min !== null && min !== max);
  }

  private axes(): string[] {
    const varying = this.varying().filter(({ name }) => name !== 'run_time' && name !== 'depth');
    return (varying.length > 1 ? varying : this.fields).slice(0, mostAxes).map(({ name }) => name);
  }

  private caption(cells: Cells): void {
    const isOpen = (name: string) => {
      const { from, to } = this.limits.get(name) ?? { from: undefined, to: undefined };
      return name !== this.x && name !== this.y && (from === undefined || from !== to);
    };
    const over = this.stepped.filter(isOpen);
    const text = describeMap(cells, { shape: this.shape, over, field: this.field(this.colour) });
    const hidden = kinds.filter((kind) => !this.wanted.has(kind));
    const without = hidden.length === 0 ? '' : ` Left out: points that are ${listOf(hidden)}.`;
    part('map-caption').textContent = text + without;
    part('map').setAttribute('aria-label', text + without);
    part('map').dataset.rows = String(cells.rows);
    part('outputs-note').textContent = this.leavesOutputsOut ? leftOutText : '';
  }

  private showControls(): void {
    const usable = this.fields.filter(({ min }) => min !== null);
    const varying = this.varying();
    this.x ||= this.stepped[0] ?? usable[0]?.name ?? '';
    this.y ||= this.stepped[1] ?? usable.find(({ name }) => name !== this.x)?.name ?? this.x;
    const signature = JSON.stringify(usable.map(({ name, values, min, max }) => [name, values ?? [min, max]]));
    if (signature === this.controlsFor || part('limits').contains(document.activeElement)) return;
    this.controlsFor = signature;
    part('controls').replaceChildren(...this.mapControls(usable));
    part('limits').replaceChildren(...this.limitControls(varying));
  }

  private mapControls(usable: readonly Field[]): HTMLElement[] {
    const options = usable.map(({ name }) => [name, titleOf(name)] as const);
    const choice = (
      text: string,
      all: readonly (readonly [string, string])[],
      chosen: string,
      set: (value: string) => void,
    ) => {
      const control = select(text, all, chosen);
      control.addEventListener('change', () => {
        set(control.value);
        void this.refresh();
      });
      return labelled(text, control);
    };
    const colours = [
      [byState, 'share of stable points'],
      ...options.filter(([name]) => this.field(name)?.group !== 'parameter'),
    ] as [string, string][];
    const views = [
      ['cells', 'heat map'],
      ['circles', 'points'],
    ] as const;
    return [
      choice('Across', options, this.x, (value) => {
        this.x = value;
      }),
      choice('Up', options, this.y, (value) => {
        this.y = value;
      }),
      choice('Colour', colours, this.colour, (value) => {
        this.colour = value;
      }),
      choice('Show as', views, this.shape, (value) => {
        this.shape = value === 'circles' ? 'circles' : 'cells';
      }),
      this.kindControls(),
    ];
  }

  private kindControls(): HTMLElement {
    const boxes = kinds.toReversed().map((kind) => {
      const box = element('input', { type: 'checkbox', value: kind });
      box.checked = this.wanted.has(kind);
      box.addEventListener('change', () => {
        if (box.checked) this.wanted.add(kind);
        else this.wanted.delete(kind);
        void this.refresh();
      });
      return element('label', { class: 'check' }, box, element('span', { class: `dot ${kind}` }), kind);
    });
    return element('fieldset', {}, element('legend', {}, 'Points that are'), ...boxes);
  }

  private limitControls(varying: readonly Field[]): HTMLElement[] {
    const all = button('All points', () => this.setLimits(new Map()));
    const head = ['', 'from', 'to'].map((text) => element('span', { class: 'head' }, text));
    return [...head, ...varying.flatMap((field) => this.limitControl(field)), all];
  }

  private limitControl(field: Field): HTMLElement[] {
    const name = titleOf(field.name);
    const ends = (['from', 'to'] as const).map((end) => {
      const control = field.values ? valueSelect(field.values) : numberInput(end === 'from' ? field.min : field.max);
      control.setAttribute('aria-label', `${name} ${end}`);
      control.dataset.limit = `${field.name} ${end}`;
      control.value = String(this.limits.get(field.name)?.[end] ?? '');
      control.addEventListener('change', () => this.setLimit(field.name, end, control.value));
      return control;
    });
    return [element('span', field.unit ? { title: field.unit } : {}, name), ...ends];
  }

  private setLimit(field: string, end: 'from' | 'to', text: string): void {
    const limit = { ...(this.limits.get(field) ?? { field }), [end]: text === '' ? undefined : Number(text) };
    const next = new Map(this.limits).set(field, limit);
    if (limit.from === undefined && limit.to === undefined) next.delete(field);
    this.setLimits(next);
  }

  private setLimits(limits: Map<string, Limit>): void {
    this.limits = limits;
    for (const control of part('limits').querySelectorAll<HTMLInputElement | HTMLSelectElement>('[data-limit]')) {
      const [name = '', end] = (control.dataset.limit ?? '').split(' ');
      control.value = String(limits.get(name)?.[end as 'from' | 'to'] ?? '');
    }
    void this.refresh();
  }

  private drawLines(lines: Dots): void {
    this.parallel.setOption(linesOption(lines, this.fields, palette()), { notMerge: true });
    for (const [dim, name] of lines.fields.entries()) {
      const limit = this.limits.get(name);
      const field = this.field(name);
      if (!limit || !field) continue;
      const interval = [limit.from ?? field.min ?? 0, limit.to ?? field.max ?? 0];
      this.parallel.dispatchAction(
        { type: 'axisAreaSelect', parallelAxisIndex: dim, intervals: [interval] },
        { silent: true },
      );
    }
    const isSample = lines.dots.length < lines.rows;
    part('parallel-caption').textContent = isSample
      ? `All dimensions: a line a point, ${count(lines.dots.length)} of ${count(lines.rows)} points, some of each state; the rarest state is on top.`
      : 'All dimensions: a line a point; the rarest state is on top.';
    part('parallel').setAttribute(
      'aria-label',
      `${count(lines.dots.length)} of ${count(lines.rows)} points over ${lines.fields.map(titleOf).join(', ')}`,
    );
  }

  /** An axis was dragged along, or let go. */
  private brushed(): void {
    const option = this.parallel.getOption() as { parallelAxis: { dim: number; activeIntervals?: number[][] }[] };
    const next = new Map(this.limits);
    const names = this.shown.lines?.fields ?? [];
    for (const { dim } of option.parallelAxis) {
      const name = names[dim];
      if (name === undefined) continue;
      const interval = this.intervalOf(dim);
      if (interval) next.set(name, { field: name, from: interval[0], to: interval[1] });
      else next.delete(name);
    }
    this.setLimits(next);
  }

  private intervalOf(dim: number): [number, number] | undefined {
    const model = this.parallel as unknown as {
      getModel(): { getComponent(kind: string, index: number): { activeIntervals: number[][] } };
    };
    const [first] = model.getModel().getComponent('parallelAxis', dim).activeIntervals;
    return first && [Math.min(...first), Math.max(...first)];
  }

  private clicked({ dataIndex }: { dataIndex: number }): void {
    const { cells } = this.shown;
    const cell = cells?.cells[dataIndex];
    if (cells && cell) void this.openCell(cells, cell.x, cell.y);
  }

  /** Lists the points of a cell, and opens the first. */
  private async openCell({ x, y }: Cells, column: number, line: number): Promise<void> {
    const here = [
      { field: x.field, from: x.from[column], to: x.to[column] },
      { field: y.field, from: y.from[line], to: y.to[line] },
    ];
    const selection = { kinds: [...this.wanted], limits: [...this.limits.values(), ...here] };
    const fields = this.axes().join(',');
    const found = await get<Dots>('/api/dots', {
      fields,
      most: String(listedPoints),
      selection: JSON.stringify(selection),
    });
    this.list(found, 'of the cell');
    const [first] = found.dots;
    if (first) this.choosePoint(first.hash);
  }

  private list({ fields, dots, rows }: Dots, of = 'of the selection'): void {
    const listed = dots.slice(0, listedPoints).map(({ hash, kind, values }) => [
      element(
        'span',
        {},
        element('span', { class: `dot ${kinds[kind]}` }),
        button(kinds[kind] ?? '', () => this.choosePoint(hash), 'link'),
      ),
      ...values.map((value, index) => withUnit(value, this.field(fields[index] ?? '') ?? { unit: '' })),
    ]);
    part('points-title').textContent = `Points ${of}: ${count(listed.length)} of ${count(rows)}`;
    part('points').replaceChildren(table(['state', ...fields.map((name) => `#${titleOf(name)}`)], listed, 'Points'));
  }
}

function valueSelect(values: readonly number[]): HTMLSelectElement {
  return select('', [['', 'any'], ...values.map((value) => [String(value), brief(value)] as const)], '');
}

function numberInput(bound: number | null): HTMLInputElement {
  return element('input', { type: 'number', step: 'any', placeholder: brief(bound) });
}
