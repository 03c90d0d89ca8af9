/** An exact decimal number: `units / 10^scale`. */
export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

/** Each digit can be read in one way alone: a megabyte of digits takes a moment, not an hour. */
const numberText = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?$/;

/**
 * Writes a double as Python's `repr` does: the shortest digits that read back as the same double; exponent form below
 * 1e-4 and from 1e16, with two exponent digits at least; a whole number keeps its `.0`; zero is `0.0`, never `-0.0`.
 */
export function formatNumber(value: number): string {
  if (value === 0) return '0.0';
  const magnitude = Math.abs(value);
  if (magnitude >= 1e-4 && magnitude < 1e16) {
    const text = String(value);
    return Number.isInteger(value) ? `${text}.0` : text;
  }
  const [digits = '', exponent = ''] = value.toExponential().split('e');
  return `${digits}e${exponent.charAt(0)}${exponent.slice(1).padStart(2, '0')}`;
}

/** Reads a finite double from decimal text, or answers undefined: no hex, no NaN, no infinity, no overflow. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim();
  if (!numberText.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : undefined;
}

/** The decimal that the shortest digits of a double show: 0.35 is exactly 35/100 here, whatever its binary form. */
export function decimalOf(value: number): Decimal {
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const units = BigInt(whole + fraction);
  const scale = fraction.length - Number(exponent);
  return scale >= 0 ? { units, scale } : { units: units * 10n ** BigInt(-scale), scale: 0 };
}

/** The double nearest to a decimal. */
export function toNumber({ units, scale }: Decimal): number {
  return Number(`${units}e-${scale}`);
}

/** The units of a decimal at another, not smaller scale. */
export function unitsAt({ units, scale }: Decimal, target: number): bigint {
  return units * 10n ** BigInt(target - scale);
}

/** The exact sum. */
export function sum(terms: readonly Decimal[]): Decimal {
  const scale = Math.max(0, ...terms.map((term) => term.scale));
  return { units: terms.reduce((total, term) => total + unitsAt(term, scale), 0n), scale };
}

/** `numerator / denominator` to the nearest whole number, ties to even. The denominator is positive. */
export function divideToNearest(numerator: bigint, denominator: bigint): bigint {
  let quotient = numerator / denominator;
  let rest = numerator % denominator;
  if (rest < 0n) {
    quotient -= 1n;
    rest += denominator;
  }
  const twice = rest * 2n;
  const up = twice > denominator || (twice === denominator && quotient % 2n !== 0n);
  return up ? quotient + 1n : quotient;
}

/** `round(value / step + offset) · step`, exactly, ties to even. The step is positive. */
export function snap(value: Decimal, step: Decimal, offset: number): Decimal {
  const numerator = value.units * 10n ** BigInt(step.scale);
  const denominator = step.units * 10n ** BigInt(value.scale);
  const places = divideToNearest(numerator + BigInt(offset) * denominator, denominator);
  return { units: places * step.units, scale: step.scale };
}
