import type { About, Beat, Now } from '../api.js';
import { showActions } from './act.js';
import { get } from './client.js';
import { part } from './dom.js';
import { Explorer } from './explore.js';
import { NowView } from './now.js';
import { onThemeChange } from './palette.js';
import { PointView } from './point.js';

/** The views ask for rows at most this often. */
const refreshEveryMs = 2000;

const [about, beats] = await Promise.all([get<About>('/api/about'), get<Beat[]>('/api/beats')]);
document.title = `${about.name} – atmos-fleet`;
part('name').textContent = about.name;
part('lattice').textContent = about.lattice;
showActions(about);

const point = new PointView(about.parameters);
const explorer = new Explorer(about.stepped, (hash) => void point.show(hash));
const nowView = new NowView(beats, (code) => void point.showCode(code));
onThemeChange(() => {
  nowView.draw();
  explorer.draw();
});

// What scrolls must be reached by the keyboard too.
for (const place of document.querySelectorAll<HTMLElement>('.scroll')) place.tabIndex = 0;

let version = -1;
let refreshed = Number.NEGATIVE_INFINITY;
const events = new EventSource('/api/events');
events.addEventListener('message', ({ data }) => {
  const now = JSON.parse(data) as Now;
  nowView.show(now);
  if (document.hidden || now.version === version || performance.now() - refreshed < refreshEveryMs) return;
  version = now.version;
  refreshed = performance.now();
  void explorer.refresh(now.leavesOutputsOut);
});
// Figures get older, too, while the server itself tells nothing.
setInterval(() => nowView.showAges(), 1000);
events.addEventListener('error', () => {
  part('status').textContent = 'the dashboard does not answer: trying again';
  part('status').className = 'pill lost';
});
