import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { version } from '../support/version.js';
import type { ReportContent } from './api.js';
import type { Snapshot } from './snapshot.js';
import { cellsOf, dotsOf } from './views.js';

const mostMaps = 60;
const mostColours = 6;
const linesKept = 800;
const maxAxes = 12;
const errorsKept = 100;
const everything = { limits: [] };

/** What a report tells of a search beside its rows. */
export interface ReportFrame {
  name: string;
  lattice: string;
  /** The configuration as text, without secrets. */
  configuration: string;
  /** Parameters that the search takes steps in. */
  stepped: readonly string[];
}

/** Everything that a report shows, small however many rows there are. */
export function reportContent(snapshot: Snapshot, { stepped, ...frame }: ReportFrame): ReportContent {
  const fields = snapshot.fields();
  const varying = fields.filter(({ min, max }) => min !== null && min !== max);
  const colours = varying.filter(
    ({ group, name }) => group === 'output' || name === 'temperature' || name === 'pressure',
  );
  const axes = varying.filter(({ name }) => name !== 'run_time' && name !== 'depth');
  const names = colours.slice(0, mostColours).map(({ name }) => name);
  return {
    ...frame,
    version,
    at: new Date().toISOString(),
    counts: { ...snapshot.counts },
    fields,
    leavesOutputsOut: snapshot.leavesOutputsOut,
    stepped: [...stepped],
    colours: names,
    maps: pairsOf(stepped).map((pair) => cellsOf(snapshot, pair, names, everything)),
    lines: dotsOf(
      snapshot,
      axes.slice(0, maxAxes).map(({ name }) => name),
      everything,
      linesKept,
    ),
    errors: snapshot.errors(errorsKept),
  };
}

function pairsOf(names: readonly string[]): [string, string][] {
  return names.flatMap((x, index) => names.slice(index + 1).map((y): [string, string] => [x, y])).slice(0, mostMaps);
}

/** One file that needs nothing else: styles, script and numbers stand in it, and its policy lets nothing else in. */
export function renderReport(content: ReportContent): string {
  const read = (file: string) => readFileSync(new URL(`./public/${file}`, import.meta.url), 'utf8');
  const style = read('page.css');
  // What ends a script element must not stand in one; JSON and JavaScript texts mean the same with the slash escaped.
  const script = read('report.js').replaceAll('</script', '<\\/script');
  const data = JSON.stringify(content).replaceAll('<', '\\u003c');
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data:; base-uri 'none'; form-action 'none'`;
  const put = (text: string, instead: string, by: string) => {
    if (!text.includes(instead)) throw new Error(`report.html has no ${instead}`);
    return text.replace(instead, () => by);
  };
  const steps: [string, string][] = [
    ["default-src 'none'", policy],
    ['<link rel="stylesheet" href="page.css">', `<style>${style}</style>`],
    [
      '<script type="module" src="report.js"></script>',
      `<script type="application/json" id="content">${data}</script><script type="module">${script}</script>`,
    ],
  ];
  return steps.reduce((text, [instead, by]) => put(text, instead, by), read('report.html'));
}
