import { hash as digest } from 'node:crypto';
import { shorten } from '../support/text.js';
import {
  type Decimal,
  decimalOf,
  divideToNearest,
  formatNumber,
  parseNumber,
  snap,
  sum,
  toNumber,
  unitsAt,
} from './decimal.js';

const shownCharacters = 40;

/** Parameter name → value, e.g. species → volume mixing ratio. */
export type Dictionary = Record<string, number>;

/** One axis of the space, as the configuration gives it. */
export interface Parameter {
  name: string;
  /** The trusted point's value. For a filler it may be left out: it is computed. */
  start?: number | undefined;
  /** Takes the rest, so that all parameters sum to 1. At most one. */
  filler?: boolean | undefined;
  /** The step of the first bin whose bound exceeds the value holds; the last bin beyond all bounds. None: fixed. */
  step?: readonly { below: number; by: number }[] | undefined;
  /** Smallest value that a neighbour may have; without it, a neighbour's value must be over 0. */
  min?: number | undefined;
  /** Largest value that a neighbour may have; 1 by default where there is a filler. */
  max?: number | undefined;
}

export type SearchMode = 'sides' | 'diagonals';

/** What defines a search: where it starts and how neighbours are found. */
export interface SpaceDefinition {
  parameters: readonly Parameter[];
  mode: SearchMode;
  reach: number;
}

/** A code or dictionary that names no point of the space; the message says what is wrong. */
export class NotAPoint extends Error {
  override name = 'NotAPoint';
}

/** One value on one axis, with what is costly to find about it. Made once a value by its `Axis`. */
export interface Coordinate {
  readonly text: string;
  /** Name and number: `O20.21`. */
  readonly label: string;
  readonly value: number;
  readonly decimal: Decimal;
  /** The value in units of 1e-15 where that is exact and whole, NaN otherwise: the quick way to the filler. */
  readonly femto: number;
  /** 128 bits that stand for this value on this axis, four words. A point's mark is the exclusive or of its coordinates'. */
  readonly mark: Int32Array;
  /** Where one step leads, −1 … −reach, then +1 … +reach; inside the bounds, each once. */
  readonly steps: readonly Coordinate[];
}

/** Digits that the filler is rounded to. */
const fillerDigits = 10;
const femtoDigits = 15;
// Computed once: a power costs more than all the rest of a remainder.
const one = 10 ** femtoDigits;
const fillerOne = 10 ** fillerDigits;
const fillerUnit = one / fillerOne;
const coordinatesKept = 100_000;

/** The values of one parameter and the steps between them. */
export class Axis {
  readonly name: string;
  readonly steps: boolean;
  private readonly coordinates = new Map<string, Coordinate>();

  constructor(
    readonly parameter: Parameter,
    readonly reach: number,
    /** Largest value that a neighbour may have: that of all doubles where there is no bound. */
    readonly max: number,
  ) {
    this.name = parameter.name;
    this.steps = (parameter.step ?? []).some((bin) => bin.by > 0);
  }

  /** The coordinate of a finite value. */
  at(value: number): Coordinate {
    const text = formatNumber(value);
    const known = this.coordinates.get(text);
    if (known) return known;
    if (this.coordinates.size >= coordinatesKept) this.coordinates.clear();
    const made = new LazyCoordinate(this.name, text, value === 0 ? 0 : value, (from) => this.stepsFrom(from));
    this.coordinates.set(text, made);
    return made;
  }

  /** The coordinate that a text names; quick for those met before. Throws `NotAPoint`. */
  read(text: string): Coordinate {
    return this.coordinates.get(text) ?? this.at(numberFrom(this.name, text));
  }

  private stepsFrom(from: Coordinate): Coordinate[] {
    const by = this.stepAt(from.value);
    if (by === 0) return [];
    const step = decimalOf(by);
    const found = new Set<Coordinate>();
    for (const sign of [-1, 1]) {
      for (let offset = 1; offset <= this.reach; offset++) {
        const value = toNumber(snap(from.decimal, step, sign * offset));
        if (this.allows(value) && value !== from.value) found.add(this.at(value));
      }
    }
    return [...found];
  }

  /** The step that holds at a value; 0: none. */
  stepAt(value: number): number {
    const bins = this.parameter.step ?? [];
    const bin = bins.find(({ below }) => value < below) ?? bins.at(-1);
    return bin?.by ?? 0;
  }

  allows(value: number): boolean {
    const { min } = this.parameter;
    return (min === undefined ? value > 0 : value >= min) && value <= this.max;
  }
}

class LazyCoordinate implements Coordinate {
  readonly label: string;
  readonly decimal: Decimal;
  readonly femto: number;
  private found: Coordinate[] | undefined;
  private marked: Int32Array | undefined;

  constructor(
    private readonly axis: string,
    readonly text: string,
    readonly value: number,
    private readonly find: (from: Coordinate) => Coordinate[],
  ) {
    this.label = axis + text;
    this.decimal = decimalOf(value);
    const exact = this.decimal.scale <= femtoDigits && value >= 0 && value <= 1;
    this.femto = exact ? Number(unitsAt(this.decimal, femtoDigits)) : Number.NaN;
  }

  get steps(): readonly Coordinate[] {
    this.found ??= this.find(this);
    return this.found;
  }

  get mark(): Int32Array {
    this.marked ??= wordsOf(digest('md5', `${this.axis}=${this.text}`, 'hex'));
    return this.marked;
  }
}

/** A legal point. Two points with one code are one point. */
export class Point {
  private written: string | undefined;
  private digest: string | undefined;

  constructor(
    private readonly space: Space,
    /** One coordinate an axis, in order, the filler left out. */
    readonly coordinates: readonly Coordinate[],
    /** What the others leave of 1; undefined where there is no filler. */
    readonly rest: number | undefined,
  ) {}

  /** The numbers of all parameters, in order, as text. */
  get code(): string {
    this.written ??= this.space
      .withRest(
        this.coordinates.map(({ text }) => text),
        this.rest === undefined ? undefined : formatNumber(this.rest),
      )
      .join(',');
    return this.written;
  }

  /** MD5, 32 hex characters, of names and numbers in order: `O20.21N20.7772982887…`. */
  get hash(): string {
    this.digest ??= digest('md5', this.space.named(this), 'hex');
    return this.digest;
  }

  /** The numbers of all parameters, in order. */
  get values(): number[] {
    return this.space.withRest(
      this.coordinates.map(({ value }) => value),
      this.rest,
    );
  }

  get dictionary(): Dictionary {
    const dictionary: Dictionary = {};
    for (const [index, value] of this.values.entries()) dictionary[this.space.names[index] as string] = value;
    return dictionary;
  }
}

/**
 * The parameter space of a search: which points there are, what they are called, and who neighbours whom.
 * Pure: the same definition gives the same codes, hashes and neighbours everywhere.
 */
export class Space {
  readonly names: readonly string[];
  /** The axes but the filler, in order. */
  readonly axes: readonly Axis[];
  private readonly fillerAt: number;

  constructor(readonly definition: SpaceDefinition) {
    const { parameters, reach } = definition;
    this.names = parameters.map(({ name }) => name);
    this.fillerAt = parameters.findIndex(({ filler }) => filler);
    const defaultMax = this.fillerAt >= 0 ? 1 : Number.MAX_VALUE;
    this.axes = parameters
      .filter(({ filler }) => !filler)
      .map((parameter) => new Axis(parameter, reach, parameter.max ?? defaultMax));
  }

  /** Most neighbours that a point can have. */
  get mostNeighbours(): number {
    const { mode, reach } = this.definition;
    const stepped = this.axes.filter((axis) => axis.steps).length;
    return mode === 'sides' ? 2 * reach * stepped : (2 * reach + 1) ** stepped - 1;
  }

  get filler(): string | undefined {
    return this.names[this.fillerAt];
  }

  /** The trusted point that the search sets out from. */
  get start(): Point {
    return this.pointWith({});
  }

  /** The start with some values changed and the filler computed. Throws `NotAPoint`. */
  pointWith(changes: Readonly<Dictionary>): Point {
    for (const name of Object.keys(changes)) {
      if (!this.names.includes(name))
        throw new NotAPoint(`${name} is no parameter: there are ${this.names.join(', ')}`);
      if (name === this.filler) throw new NotAPoint(`${name} is the filler: it takes what the others leave`);
    }
    const coordinates = this.definition.parameters
      .filter(({ filler }) => !filler)
      .map(({ name, start }, index) => {
        const value = (Object.hasOwn(changes, name) ? changes[name] : start) as number;
        if (!Number.isFinite(value)) throw new NotAPoint(`${name} is ${value}, wants a finite number`);
        return this.legal(index, (this.axes[index] as Axis).at(value));
      });
    return this.pointAt(coordinates);
  }

  /** Decodes a parameter code, written by this system or by hand: the point with the canonical code. Throws `NotAPoint`. */
  decode(code: string): Point {
    const texts = code.split(',', this.names.length + 1);
    if (texts.length !== this.names.length) {
      const found = code.split(',').length;
      throw new NotAPoint(`${found} numbers found, wants ${this.names.length}: ${this.names.join(', ')}`);
    }
    const [filler] = this.fillerAt >= 0 ? texts.splice(this.fillerAt, 1) : [];
    const coordinates = texts.map((text, index) => this.legal(index, (this.axes[index] as Axis).read(text)));
    const point = this.pointAt(coordinates);
    if (filler !== undefined) this.checkFiller(filler, point);
    return point;
  }

  private checkFiller(text: string, { rest }: Point): void {
    const fits = formatNumber(rest as number);
    if (text === fits) return;
    const given = numberFrom(this.filler as string, text);
    if (given === rest) return;
    const found = formatNumber(given);
    throw new NotAPoint(`${this.filler} is ${found}, but the others leave ${fits}`);
  }

  /** Names and numbers, concatenated in order: what the hash is taken of. */
  named({ coordinates, rest }: Point): string {
    const labels = coordinates.map(({ label }) => label);
    return this.withRest(labels, rest === undefined ? undefined : this.filler + formatNumber(rest)).join('');
  }

  /** What the axes have, in order, with the filler's put in at its place. */
  withRest<Value>(ofAxes: Value[], rest: Value | undefined): Value[] {
    if (rest !== undefined) ofAxes.splice(this.fillerAt, 0, rest);
    return ofAxes;
  }

  /**
   * The points that a stable point proposes, each once. `sides`: one coordinate changed at a time; `diagonals`: every
   * combination of steps and stays but the point itself.
   */
  neighbours(point: Point): Point[] {
    return this.definition.mode === 'sides' ? this.sides(point) : this.diagonals(point);
  }

  private sides({ coordinates }: Point): Point[] {
    const found: Point[] = [];
    for (const [axis, coordinate] of coordinates.entries()) {
      for (const step of coordinate.steps) {
        const moved = coordinates.slice();
        moved[axis] = step;
        const neighbour = this.close(moved);
        if (neighbour) found.push(neighbour);
      }
    }
    return found;
  }

  private diagonals({ coordinates }: Point): Point[] {
    let combinations: Coordinate[][] = [[]];
    for (const coordinate of coordinates) {
      const choices = [coordinate, ...coordinate.steps];
      combinations = combinations.flatMap((head) => choices.map((choice) => [...head, choice]));
    }
    return combinations.slice(1).flatMap((moved) => this.close(moved) ?? []);
  }

  private pointAt(coordinates: readonly Coordinate[]): Point {
    const point = this.close(coordinates);
    if (!point) throw new NotAPoint(`the others sum to more than 1: nothing is left for ${this.filler}`);
    return point;
  }

  /** Where there is a filler, every value is a mixing ratio. */
  private legal(index: number, coordinate: Coordinate): Coordinate {
    if (this.filler !== undefined && (coordinate.value < 0 || coordinate.value > 1)) {
      throw new NotAPoint(`${this.axes[index]?.name} is ${coordinate.text}, wants a mixing ratio from 0 to 1`);
    }
    return coordinate;
  }

  /** The point with these coordinates, or undefined where its filler would be negative. */
  private close(coordinates: readonly Coordinate[]): Point | undefined {
    const rest = this.fillerAt >= 0 ? remainder(coordinates) : undefined;
    return rest !== undefined && rest < 0 ? undefined : new Point(this, coordinates, rest);
  }
}

/** `1 − Σ`, exactly, rounded to 10 digits with ties to even. */
export function remainder(coordinates: readonly Coordinate[]): number {
  let femto = one;
  for (const coordinate of coordinates) femto -= coordinate.femto;
  if (Number.isNaN(femto)) return exactRemainder(coordinates);
  let units = Math.floor(femto / fillerUnit);
  const rest = femto - units * fillerUnit;
  if (rest * 2 > fillerUnit || (rest * 2 === fillerUnit && units % 2 !== 0)) units++;
  return units / fillerOne;
}

/** As `remainder`, for values of any number of digits. */
export function exactRemainder(coordinates: readonly Coordinate[]): number {
  const total = sum(coordinates.map(({ decimal }) => decimal));
  const scale = Math.max(total.scale, fillerDigits);
  const rest = 10n ** BigInt(scale) - unitsAt(total, scale);
  return Number(divideToNearest(rest, 10n ** BigInt(scale - fillerDigits))) / fillerOne;
}

/** Four words of 32 bits from the hex digits of an MD5. */
export function wordsOf(hex: string): Int32Array {
  return Int32Array.of(...[0, 8, 16, 24].map((at) => Number.parseInt(hex.slice(at, at + 8), 16)));
}

function numberFrom(name: string, text: string): number {
  const value = parseNumber(text);
  if (value === undefined) throw new NotAPoint(`${name}: '${shorten(text, shownCharacters)}' is not a finite number`);
  return value;
}
