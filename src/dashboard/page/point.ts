import { maxRunFiles, type RunFile, type Sight } from '../api.js';
import { get } from './client.js';
import { button, element, part } from './dom.js';
import { brief, count } from './format.js';

/** One point: its row, its files, the points that led to it, its neighbours. */
export class PointView {
  private asked = '';

  constructor(private readonly parameters: readonly string[]) {}

  /** The point with a code. */
  async showCode(code: string): Promise<void> {
    const { hash } = await get<{ hash: string }>('/api/hash', { code });
    await this.show(hash);
  }

  async show(hash: string): Promise<void> {
    this.asked = hash;
    try {
      const sight = await get<Sight>(`/api/points/${hash}`);
      if (this.asked !== hash) return;
      part('point').replaceChildren(...this.contents(sight));
      if (sight.row?.facts.some(([name]) => name === 'files')) await this.showFiles(hash);
    } catch (error) {
      part('point').replaceChildren(element('h3', {}, 'One point'), element('p', {}, (error as Error).message));
    }
  }

  private contents({ hash, code, row, chain, neighbours }: Sight): HTMLElement[] {
    const values = code.split(',').map((text, index) => [this.parameters[index] ?? '', text] as const);
    const facts = element('dl', { class: 'facts' });
    for (const [name, text] of [...values, ...(row?.facts ?? []), ['hash', hash] as const]) {
      facts.append(element('dt', {}, name), element('dd', name === 'hash' ? { class: 'code' } : {}, text));
    }
    const known = neighbours.filter(({ state }) => state !== 'no row');
    return [
      element('h3', {}, `One point: ${row?.state ?? 'no row yet'}`),
      facts,
      element('h4', {}, 'Files'),
      element('div', { id: 'files' }, 'none'),
      element(
        'h4',
        {},
        chain.length === 0
          ? 'A root: no point led to it'
          : `The ${chain.length} points that led to it, the nearest first`,
      ),
      element(
        'ol',
        {},
        ...chain.map((link) =>
          this.link(link.hash, link.code, link.temperature === null ? '' : `${brief(link.temperature)} K`),
        ),
      ),
      element('h4', {}, `Neighbours: ${known.length} of ${neighbours.length} have a row`),
      element('ul', {}, ...known.map((one) => this.link(one.hash, one.code, one.state))),
    ];
  }

  private link(hash: string, code: string, more: string): HTMLElement {
    return element(
      'li',
      {},
      button(code, () => void this.show(hash), 'link code'),
      ` ${more}`,
    );
  }

  private async showFiles(hash: string): Promise<void> {
    const files = await get<RunFile[]>(`/api/points/${hash}/files`);
    if (this.asked !== hash || files.length === 0) return;
    const items = files.map(({ path, bytes }) => {
      const address = `/api/points/${hash}/files/${path.split('/').map(encodeURIComponent).join('/')}`;
      return element('li', {}, element('a', { href: address, download: '' }, path), ` ${count(bytes)} bytes`);
    });
    const more =
      files.length < maxRunFiles ? null : `The first ${count(maxRunFiles)} that were found; there may be more.`;
    part('files').replaceChildren(
      element('ul', {}, ...items),
      ...(more ? [element('p', { class: 'quiet' }, more)] : []),
    );
  }
}
