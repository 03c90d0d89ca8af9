type Child = Node | string | null;

/** An element with attributes and children. Texts become text nodes: nothing that the server tells is read as markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The element of the page with that id. */
export function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

export function button(text: string, act: () => void, style = ''): HTMLButtonElement {
  const made = element('button', { type: 'button', ...(style ? { class: style } : {}) }, text);
  made.addEventListener('click', act);
  return made;
}

/** A table of columns: a name starting with `#` names a column of numbers, one with `~` a column of long texts. */
export function table(
  names: readonly string[],
  rows: readonly (readonly Child[])[],
  caption: string,
): HTMLTableElement {
  const kinds: Record<string, string> = { '#': 'number', '~': 'long' };
  const kind = (index: number) => kinds[names[index]?.charAt(0) ?? ''] ?? 'text';
  const head = names.map((name, index) =>
    element('th', { scope: 'col', class: kind(index) }, name.replace(/^[#~]/, '')),
  );
  const body = rows.map((row) =>
    element('tr', {}, ...row.map((cell, index) => element('td', { class: kind(index) }, cell))),
  );
  return element(
    'table',
    { 'aria-label': caption },
    element('thead', {}, element('tr', {}, ...head)),
    element('tbody', {}, ...body),
  );
}

export function select(
  label: string,
  options: readonly (readonly [string, string])[],
  chosen: string,
): HTMLSelectElement {
  const made = element('select', { 'aria-label': label });
  for (const [value, text] of options) made.append(new Option(text, value, false, value === chosen));
  return made;
}

/** The label's own text is the control's name, without the options' texts. */
export function labelled(text: string, control: HTMLElement): HTMLLabelElement {
  control.setAttribute('aria-label', text);
  return element('label', {}, text, control);
}
