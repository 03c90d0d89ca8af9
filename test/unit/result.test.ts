import { describe, expect, it } from 'vitest';
import { parseResult } from '../../src/simulators/result.js';

describe('the result that a program left', () => {
  it('may begin with a byte order mark', () => {
    expect(parseResult('\uFEFF{"stable": true}')).toEqual({ stable: true, outputs: {} });
  });

  it.each(['NaN', 'Infinity', '-Infinity', 'nan', '-inf', 'null', '1e400'])(
    'has a number %s as if it were not given, and says so',
    (token) => {
      const text = `{"stable": true, "temperature": ${token}, "pressure": 1, "outputs": {"flux": ${token}, "NaN": 2}}`;
      expect(parseResult(text)).toEqual({
        stable: true,
        pressure: 1,
        outputs: { NaN: 2 },
        message: 'without temperature, flux: not finite (NaN, infinite or null)',
      });
    },
  );

  it('keeps its own message before that, and names three numbers at most', () => {
    const text = '{"stable": false, "message": "a NaN \\" inf", "outputs": {"a": NaN, "b": NaN, "c": NaN, "d": NaN}}';
    expect(parseResult(text)).toMatchObject({
      message: 'a NaN " inf; without a, b, c and 1 more: not finite (NaN, infinite or null)',
    });
  });

  it.each([
    ['{"stable": NaN}', 'its result.json is wrong at stable: wants true or false'],
    ['{"stable": true, "temperature": "NaN"}', 'its result.json is wrong at temperature: wants a finite number'],
    ['{"stable": true, "outputs": null}', 'its result.json is wrong at outputs: wants names and numbers'],
    ['{"stable": true, "outputs": [NaN]}', 'its result.json is wrong at outputs: wants names and numbers'],
    ['{"stable": true, "outputs": {"a": {"b": 1}}}', 'its result.json is wrong at outputs.a: wants a finite number'],
  ])('is refused as %s', (text, message) => {
    expect(parseResult(text)).toBe(message);
  });

  it.each(['{"stable": true, "outputs": {"KEY": 1}}', '{"stable": true, "KEY": 1}'])(
    'is refused in a sentence of some length, however long its names are: %s',
    (text) => {
      const said = parseResult(text.replace('KEY', 'x'.repeat(1_000_000))) as string;
      expect(said).toMatch(/^its result\.json is wrong at /);
      expect(said.length).toBeLessThan(500);
    },
  );

  it.each(['{"stable": true, "outputs": {"__proto__": 1}}', '{"stable": true, "__proto__": {}}'])(
    'is refused with the name __proto__: %s',
    (text) => {
      expect(parseResult(text)).toBe('its result.json has the name __proto__, which is reserved: choose another');
    },
  );

  it('is no JSON in another encoding, and is judged quickly whatever it is', () => {
    expect(parseResult(Buffer.from('\uFEFF{"stable": true}', 'utf16le').toString())).toMatch(/not JSON/);
    expect(parseResult('\\"'.repeat(500_000))).toMatch(/not JSON/);
    expect(parseResult(`NaN${'"\\'.repeat(400_000)}`)).toMatch(/not JSON/);
  });
});
