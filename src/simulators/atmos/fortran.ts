/** A number as Fortran writes it: three-digit exponents lose their letter (`1.64-163`). Undefined: NaN, `****`, no number. */
export function parseFortran(field: string): number | undefined {
  const text = field.trim().replace(/^([+-]?\d*\.?\d*)([+-]\d{3})$/, '$1E$2');
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([ED][+-]?\d+)?$/i.test(text)) return undefined;
  const value = Number(text.replace(/D/i, 'E'));
  // Minus zero is a rounding of Fortran's.
  return Number.isFinite(value) ? value + 0 : undefined;
}

/** Four significant digits in the form that the input files have: 7.773E-01. */
export function formatFortran(value: number): string {
  const [mantissa = '', exponent = '0'] = value.toExponential(3).split('e');
  const power = Number(exponent);
  return `${mantissa}E${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

/**
 * What is wrong with a profile (`out.dist`, `TempOut.dat`), beside one of the same kind that is known to be whole: its
 * columns are fixed, so its lines must be as many and as long, and hold nothing but numbers. Undefined: it can be used.
 */
export function flawOf(profile: Buffer | undefined, pattern: Buffer): string | undefined {
  if (profile === undefined) return 'missing';
  if (profile.length === 0) return 'empty';
  const text = profile.toString('latin1');
  if (/[^\s0-9.+\-ED]/i.test(text)) return 'no set of finite numbers';
  const lines = text.split('\n');
  const wanted = pattern.toString('latin1').split('\n');
  if (lines.length !== wanted.length) return 'cut off, or of another size';
  return lines.some((line, index) => line.length !== wanted[index]?.length) ? 'garbled' : undefined;
}
