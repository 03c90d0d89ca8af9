import { parseNumber } from './decimal.js';
import { type Dictionary, NotAPoint, type Point, type Space } from './space.js';

/** The point that a person names by its code, or by values that differ from the start: `O2=0.51,H2=8.1e-08`. Throws `NotAPoint`. */
export function readPoint(space: Space, text: string): Point {
  return text.includes('=') ? space.pointWith(readValues(text)) : space.decode(text);
}

function readValues(text: string): Dictionary {
  const values = new Map<string, number>();
  for (const part of text.split(',')) {
    const [, name = '', value = ''] = /^\s*([^=\s]+)\s*=\s*([^=\s]+)\s*$/.exec(part) ?? [];
    const number = parseNumber(value);
    if (number === undefined) throw new NotAPoint(`found '${part}', wants NAME=NUMBER`);
    if (values.has(name)) throw new NotAPoint(`${name} is named twice`);
    values.set(name, number);
  }
  return Object.fromEntries(values);
}
