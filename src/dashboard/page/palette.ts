/** The colours of the page's style, for what is drawn. */
export interface Palette {
  text: string;
  quiet: string;
  line: string;
  card: string;
  open: string;
  /** Between unstable and stable. */
  between: string;
  accent: string;
  /** In the order of `kinds`. */
  kinds: string[];
  /** From low to high. */
  scale: string[];
}

/** Viridis: even steps to the eye, and told apart with any colour vision. */
const viridis = ['#440154', '#414487', '#2a788e', '#22a884', '#7ad151', '#fde725'];

export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: colour('text'),
    quiet: colour('quiet'),
    line: colour('line'),
    card: colour('card'),
    open: colour('open'),
    between: colour('between'),
    accent: colour('accent'),
    kinds: ['queue', 'running', 'error', 'unstable', 'stable'].map(colour),
    scale: viridis,
  };
}

export function onThemeChange(act: () => void): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', act);
}
