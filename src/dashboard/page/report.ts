import { kinds, type ReportContent } from '../api.js';
import { chartIn, inDrawingOrder, linesOption, mapOption } from './charts.js';
import { element, labelled, part, select } from './dom.js';
import { count, describeMap, leftOutText, titleOf } from './format.js';
import { errorsTable, showBar, tilesOf } from './now.js';
import { onThemeChange, palette } from './palette.js';

const content = JSON.parse(part('content').textContent ?? '') as ReportContent;
const { name, version, at, lattice, counts, fields, stepped, colours, lines, errors, configuration } = content;
const maps = content.maps.map(inDrawingOrder);
const byState = 'state';

document.title = `${name} – atmos-fleet report`;
part('name').textContent = name;
part('made').textContent = `Report of ${at.slice(0, 16).replace('T', ' ')} UTC, atmos-fleet ${version}; ${lattice}`;
const rows = kinds.reduce((total, kind) => total + counts[kind], 0);
part('tiles').replaceChildren(...tilesOf(rows, counts));
showBar(counts, rows);
part('errors').replaceChildren(errorsTable(errors));
part('configuration').textContent = configuration;
part('outputs-note').textContent = content.leavesOutputsOut ? leftOutText : '';
part('parallel-caption').textContent =
  `All dimensions: a line a point, ${count(lines.dots.length)} of ${count(lines.rows)} points, some of each state; the rarest state is on top.`;
for (const place of document.querySelectorAll<HTMLElement>('.scroll')) place.tabIndex = 0;

const map = chartIn(part('map'));
const parallel = chartIn(part('parallel'));
const options = maps.map(({ x, y }, index) => [String(index), `${titleOf(y.field)} over ${titleOf(x.field)}`] as const);
const which = select('Map', options, '0');
const colour = select(
  'Colour',
  [[byState, 'share of stable points'], ...colours.map((field) => [field, titleOf(field)] as const)],
  byState,
);
part('controls').append(labelled('Map', which), labelled('Colour', colour));
for (const control of [which, colour]) control.addEventListener('change', draw);
part('controls').addEventListener('submit', (event) => event.preventDefault());

function draw(): void {
  const look = palette();
  const cells = maps[Number(which.value)];
  if (cells) {
    const index = colours.indexOf(colour.value);
    const field = fields.find((one) => one.name === colour.value);
    map.setOption(mapOption(cells, fields, { field, index }, look), { notMerge: true });
    const over = stepped.filter((name) => name !== cells.x.field && name !== cells.y.field);
    const text = describeMap(cells, { shape: 'cells', over, field });
    part('map-caption').textContent = text;
    part('map').setAttribute('aria-label', text);
  } else {
    part('map').replaceChildren(element('p', {}, 'The search takes steps in one parameter at most: there is no map.'));
  }
  if (lines.fields.length > 1) parallel.setOption(linesOption(lines, fields, look), { notMerge: true });
}

draw();
onThemeChange(draw);
