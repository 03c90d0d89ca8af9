import { HeatmapChart, LineChart, ParallelChart, ScatterChart } from 'echarts/charts';
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
import { axisTitle, brief, count, titleOf, withUnit } from './format.js';
import type { Palette } from './palette.js';

use([HeatmapChart, LineChart, ParallelChart, ScatterChart]);
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

/** A heat map of two fields. */
export function cellsOption(
  { x, y, cells }: Cells,
  fields: readonly Field[],
  { field, index }: Colouring,
  look: Palette,
): EChartsCoreOption {
  const values = cells.map((cell) => (field ? (cell.means[index] ?? null) : stableShare(cell)));
  const known = values.filter((value) => value !== null);
  const [, , error = '', unstable = '', stable = ''] = look.kinds;
  const bar = field
    ? colourBar(Math.min(...known), Math.max(...known), look.scale, endTexts(known, field), look)
    : colourBar(0, 1, [unstable, look.between, stable], ['all unstable', 'all stable'], look);
  const data = cells.map((cell, at) => {
    const value = values[at];
    if (value !== null) return { value: [cell.x, cell.y, value] };
    return { value: [cell.x, cell.y, 0], visualMap: false, itemStyle: { color: cell.counts[2] ? error : look.open } };
  });
  const named = (name: string) => fields.find((one) => one.name === name) as Field;
  const category = (from: readonly number[]) => ({
    type: 'category' as const,
    data: from.map(String),
    splitArea: { show: false },
  });
  return {
    animation: false,
    grid: plot,
    tooltip: {
      ...tooltip(look),
      formatter: ({ dataIndex }: { dataIndex: number }) => describeCell(x, y, cells[dataIndex] as Cell, field, index),
    },
    xAxis: axis(axisTitle(named(x.field)), look, { ...category(x.from), nameGap: 28 }),
    yAxis: axis(axisTitle(named(y.field)), look, { ...category(y.from), nameGap: 46 }),
    visualMap: { ...bar, show: known.length > 0 || !field },
    series: [{ type: 'heatmap', data, progressive: 0, itemStyle: { borderWidth: 0.5, borderColor: look.card } }],
  };
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
  const mean = field ? [`mean ${titleOf(field.name)} ${withUnit(cell.means[index] ?? null, field)}`] : [];
  return [`${place(x, cell.x)}   ${place(y, cell.y)}`, ...counts, ...mean].join('\n');
}

/** The points themselves, on two fields; `values` of a dot are x, y and the colour's field. */
export function dotsOption(
  { dots }: Dots,
  [x, y]: readonly [Field, Field],
  field: Field | undefined,
  look: Palette,
): EChartsCoreOption {
  const drawn = dots.map(({ kind, values }, at) => ({
    kind,
    value: [...values.slice(0, 2), field ? values[2] : kind, at],
  }));
  const known = dots.flatMap(({ values }) => values[2] ?? []);
  const scatter = { type: 'scatter' as const, symbolSize: dots.length > 2000 ? 5 : 8, large: false };
  const style = { opacity: 0.75 };
  const series = kinds.map((name, kind) => ({
    ...scatter,
    name,
    itemStyle: { ...style, color: look.kinds[kind] as string },
    data: drawn.filter((dot) => dot.kind === kind).map(({ value }) => value),
  }));
  const bar = field
    ? {
        ...colourBar(
          low(known),
          high(known),
          look.scale,
          [withUnit(low(known), field), withUnit(high(known), field)],
          look,
        ),
        dimension: 2,
      }
    : undefined;
  return {
    animation: false,
    grid: plot,
    legend: { show: !field, top: 0, textStyle: { color: look.text }, data: kinds.toReversed() },
    tooltip: {
      ...tooltip(look),
      formatter: ({ value }: { value: number[] }) => describeDot(value, [x, y], field, dots),
    },
    xAxis: axis(axisTitle(x), look, { type: 'value', scale: true, nameGap: 28 }),
    yAxis: axis(axisTitle(y), look, { type: 'value', scale: true, nameGap: 46 }),
    ...(bar ? { visualMap: bar } : {}),
    series,
  };
}

const low = (values: readonly number[]) =>
  values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
const high = (values: readonly number[]) =>
  values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);

function describeDot(
  value: readonly number[],
  [x, y]: readonly [Field, Field],
  field: Field | undefined,
  dots: Dots['dots'],
): string {
  const dot = dots[value[3] ?? 0];
  const lines = [x, y].map((axis, at) => `${titleOf(axis.name)} ${withUnit(value[at] ?? null, axis)}`);
  const colour = field ? [`${titleOf(field.name)} ${withUnit(dot?.values[2] ?? null, field)}`] : [];
  return [kinds[dot?.kind ?? 0] ?? '', ...lines, ...colour].join('\n');
}

/** A line a point, over all fields of the dots. */
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
    series: kinds.map((name, kind) => ({
      type: 'parallel',
      name,
      lineStyle: { color: look.kinds[kind], opacity, width },
      inactiveOpacity: 0.03,
      data: dots.filter((dot) => dot.kind === kind).map(({ values }) => values.map((value) => value ?? '-')),
    })),
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
