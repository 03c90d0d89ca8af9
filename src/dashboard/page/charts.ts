import { CustomChart, HeatmapChart, LineChart, ParallelChart } from 'echarts/charts';
import {
  GridComponent,
  LegendComponent,
  ParallelComponent,
  TooltipComponent,
  VisualMapComponent,
} from 'echarts/components';
import { type EChartsCoreOption, type EChartsType, init, use } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { type Beat, type Cell, type Cells, type Dots, type Field, kinds } from '../api.js';
import { axisTitle, brief, count, partsOf, points, titleOf, withUnit } from './format.js';
import type { Palette } from './palette.js';

use([CustomChart, HeatmapChart, LineChart, ParallelChart]);
use([GridComponent, LegendComponent, ParallelComponent, TooltipComponent, VisualMapComponent, CanvasRenderer]);

export type Chart = EChartsType;

/** A chart that keeps the size of its place. */
export function chartIn(place: HTMLElement): Chart {
  const chart = init(place);
  new ResizeObserver(() => chart.resize()).observe(place);
  return chart;
}

/** Drawn on the canvas: no markup, so that texts stay texts. */
function tooltip({ card, line, text }: Palette) {
  return {
    renderMode: 'richText' as const,
    confine: true,
    backgroundColor: card,
    borderColor: line,
    textStyle: { color: text, fontSize: 12 },
  };
}

function axis(name: string, colours: Palette, more: object = {}) {
  return {
    name,
    nameLocation: 'middle' as const,
    nameTextStyle: { color: colours.quiet },
    axisLabel: { color: colours.quiet, hideOverlap: true, formatter: (value: number | string) => brief(Number(value)) },
    axisLine: { lineStyle: { color: colours.line } },
    splitLine: { lineStyle: { color: colours.line, opacity: 0.6 } },
    ...more,
  };
}

function colourBar(
  min: number,
  max: number,
  colours: readonly string[],
  texts: [string, string],
  look: Palette,
  more = {},
) {
  return {
    type: 'continuous' as const,
    ...{
      min,
      max: max > min ? max : min + 1,
      calculable: false,
      orient: 'horizontal' as const,
      left: 'center',
      top: 0,
    },
    ...{ itemWidth: 12, itemHeight: 160, text: texts.toReversed(), textStyle: { color: look.quiet } },
    inRange: { color: [...colours] },
    ...more,
  };
}

const plot = { left: 64, right: 18, top: 44, bottom: 48, containLabel: false };

/** What colours a map: the share of stable points, or the mean of a field. */
export interface Colouring {
  /** Undefined: by state. */
  field: Field | undefined;
  /** Which of the cells' means. */
  index: number;
}

/** A map of two fields, its cells in the order of drawing: as a heat map, or as circles whose parts are the states of their points. */
export function mapOption(
  { x, y, cells }: Cells,
  fields: readonly Field[],
  { field, index }: Colouring,
  look: Palette,
  shape: 'cells' | 'circles' = 'cells',
): EChartsCoreOption {
  const values = cells.map((cell) => (field ? (cell.means[index] ?? null) : shownShare(cell)));
  const known = values.filter((value) => value !== null);
  const [, , , unstable = '', stable = ''] = look.kinds;
  const bar = field
    ? colourBar(Math.min(...known), Math.max(...known), look.scale, endTexts(known, field), look)
    : colourBar(0, 1, [unstable, look.between, stable], ['all unstable', 'all stable'], look);
  const named = (name: string) => fields.find((one) => one.name === name) as Field;
  const category = (from: readonly number[]) => ({
    type: 'category' as const,
    data: from.map(String),
    splitArea: { show: false },
  });
  const bySlices = shape === 'circles' && !field;
  return {
    animation: false,
    grid: plot,
    tooltip: {
      ...tooltip(look),
      formatter: ({ dataIndex }: { dataIndex: number }) => describeCell(x, y, cells[dataIndex] as Cell, field, index),
    },
    xAxis: axis(axisTitle(named(x.field)), look, { ...category(x.from), nameGap: 28 }),
    yAxis: axis(axisTitle(named(y.field)), look, { ...category(y.from), nameGap: 46 }),
    ...(bySlices ? {} : { visualMap: { ...bar, dimension: 2, show: known.length > 0 || !field } }),
    series: [shape === 'circles' ? circles(cells, values, bySlices, look) : heat(cells, values, look)],
  };
}

/** Cells with errors last: no neighbour is drawn over their frames. */
export function inDrawingOrder(map: Cells): Cells {
  const hasErrors = ({ counts }: Cell) => Number((counts[2] ?? 0) > 0);
  return { ...map, cells: map.cells.toSorted((one, other) => hasErrors(one) - hasErrors(other)) };
}

function heat(cells: readonly Cell[], values: readonly (number | null)[], look: Palette) {
  const [, , error = ''] = look.kinds;
  const data = cells.map((cell, at) => {
    const value = values[at] ?? null;
    const hasErrors = (cell.counts[2] ?? 0) > 0;
    // A frame, as errors have no part in the cell's colour.
    const frame = hasErrors ? { borderColor: error, borderWidth: 2 } : {};
    if (value !== null) return { value: [cell.x, cell.y, value], itemStyle: frame };
    return {
      value: [cell.x, cell.y, 0],
      visualMap: false,
      itemStyle: { color: hasErrors ? error : look.open, ...frame },
    };
  });
  return { type: 'heatmap', data, progressive: 0, itemStyle: { borderWidth: 0.5, borderColor: look.card } };
}

interface Drawing {
  value(dimension: number): number;
  coord(at: [number, number]): [number, number];
  size(of: [number, number]): [number, number];
  visual(name: 'color'): string;
}

const maxRadius = 13;

/** One circle a cell, never over another. */
function circles(cells: readonly Cell[], values: readonly (number | null)[], bySlices: boolean, look: Palette) {
  const sector = (cx: number, cy: number, r: number, [from, to]: [number, number], fill: string) => ({
    type: 'sector' as const,
    shape: { cx, cy, r, r0: 0, startAngle: from, endAngle: to },
    style: { fill, stroke: look.card, lineWidth: 0.5 },
  });
  const turn = 2 * Math.PI;
  return {
    type: 'custom',
    encode: { x: 0, y: 1 },
    data: cells.map(({ x, y }, at) => [x, y, values[at] ?? Number.NaN]),
    renderItem({ dataIndex }: { dataIndex: number }, drawing: Drawing) {
      const [cx, cy] = drawing.coord([drawing.value(0), drawing.value(1)]);
      const r = Math.min(maxRadius, ...drawing.size([1, 1]).map((size) => 0.46 * size));
      if (!bySlices) {
        const fill = values[dataIndex] === null ? look.open : drawing.visual('color');
        return { type: 'group', children: [sector(cx, cy, r, [0, turn], fill)] };
      }
      const parts = partsOf((cells[dataIndex] as Cell).counts);
      const ends = parts.map((_, kind) => turn * parts.slice(0, kind + 1).reduce((sum, part) => sum + part) - turn / 4);
      const children = parts.flatMap((part, kind) => {
        const to = ends[kind] ?? 0;
        return part > 0 ? [sector(cx, cy, r, [to - turn * part, to], look.kinds[kind] ?? '')] : [];
      });
      return { type: 'group', children };
    },
  };
}

/** The colours of a cell all of one verdict are its own: the share of a mixed one keeps away from both ends. */
function shownShare(cell: Cell): number | null {
  const share = stableShare(cell);
  return share === null || share === 0 || share === 1 ? share : 0.2 + 0.6 * share;
}

/** Null where nothing is settled. */
function stableShare({ counts }: Cell): number | null {
  const [, , , unstable = 0, stable = 0] = counts;
  return stable + unstable === 0 ? null : stable / (stable + unstable);
}

function endTexts(known: readonly number[], field: Field): [string, string] {
  return [withUnit(Math.min(...known), field), withUnit(Math.max(...known), field)];
}

function describeCell(x: Cells['x'], y: Cells['y'], cell: Cell, field: Field | undefined, index: number): string {
  const place = (axis: Cells['x'], at: number) => {
    const [from = 0, to = 0] = [axis.from[at], axis.to[at]];
    return `${titleOf(axis.field)} ${from === to ? brief(from) : `${brief(from)} – ${brief(to)}`}`;
  };
  const counts = cell.counts
    .flatMap((number, kind) => (number > 0 ? [`${kinds[kind]} ${count(number)}`] : []))
    .reverse();
  const total = cell.counts.reduce((sum, number) => sum + number, 0);
  const mean = field ? [`mean ${titleOf(field.name)} ${withUnit(cell.means[index] ?? null, field)}`] : [];
  return [`${place(x, cell.x)}   ${place(y, cell.y)}`, points(total), ...counts, ...mean].join('\n');
}

/** A line a point, over all fields of the dots; the rarest kind is drawn over the others. */
export function linesOption({ fields: names, dots }: Dots, fields: readonly Field[], look: Palette): EChartsCoreOption {
  const axes = names.map((name) => fields.find((field) => field.name === name) as Field);
  const [width, opacity] = dots.length > 300 ? [0.7, 0.28] : [1, 0.6];
  return {
    animation: false,
    parallel: { left: 48, right: 64, top: 40, bottom: 22, axisExpandable: false },
    parallelAxis: axes.map((field, dim) => ({
      dim,
      name: titleOf(field.name),
      nameTextStyle: { color: look.text },
      axisLabel: { color: look.text, formatter: brief, textBorderColor: look.card, textBorderWidth: 3 },
      z: 20,
      axisLine: { lineStyle: { color: look.quiet } },
      axisTick: { lineStyle: { color: look.quiet } },
      scale: true,
      realtime: false,
      ...(field.min === null ? {} : { min: field.min, max: field.max === field.min ? field.min + 1 : field.max }),
      areaSelectStyle: { width: 16, borderColor: look.accent, color: look.accent, opacity: 0.25 },
    })),
    series: kinds
      .map((name, kind) => ({
        type: 'parallel',
        name,
        lineStyle: { color: look.kinds[kind], opacity, width },
        inactiveOpacity: 0.03,
        data: dots.filter((dot) => dot.kind === kind).map(({ values }) => values.map((value) => value ?? '-')),
      }))
      .sort((one, other) => other.data.length - one.data.length),
  };
}

/** Rate and frontier over time. */
export function beatsOption(beats: readonly Beat[], look: Palette): EChartsCoreOption {
  const [queue = '', , , , stable = ''] = look.kinds;
  const plain = { type: 'line' as const, showSymbol: false, lineStyle: { width: 1.6 } };
  const value = (name: string, more = {}) => axis(name, look, { type: 'value', min: 0, nameLocation: 'end', ...more });
  return {
    animation: false,
    grid: { left: 56, right: 62, top: 30, bottom: 24 },
    legend: { top: 0, textStyle: { color: look.text }, itemHeight: 8 },
    tooltip: { ...tooltip(look), trigger: 'axis', valueFormatter: (value: number) => brief(value) },
    xAxis: {
      type: 'time',
      axisLabel: { color: look.quiet, hideOverlap: true },
      axisLine: { lineStyle: { color: look.line } },
    },
    yAxis: [value(''), value('', { splitLine: { show: false } })],
    series: [
      {
        ...plain,
        name: 'settled a second',
        color: stable,
        areaStyle: { opacity: 0.12 },
        data: beats.map(({ at, rate }) => [at, rate]),
      },
      {
        ...plain,
        name: 'frontier',
        color: queue,
        yAxisIndex: 1,
        data: beats.map(({ at, frontier }) => [at, frontier]),
      },
    ],
  };
}
