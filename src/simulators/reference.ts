import { setTimeout as wait } from 'node:timers/promises';
import type { Dictionary } from '../space/space.js';
import type { Attempt, Outcome, Result, Simulator } from './simulator.js';

/** Earth's present air: volume mixing ratios. What a search does not name has these. */
const earth = { O2: 0.21, N2: 0.7772982887, H2O: 0.0123, CH4: 1.63e-6, CO2: 4e-4, H2: 8.13e-8 };
/** g/mol */
const molarMass = { O2: 31.999, N2: 28.014, H2O: 18.015, CH4: 16.043, CO2: 44.01, H2: 2.016 };

type Air = typeof earth;
const gases = Object.keys(earth) as (keyof Air)[];
const isGas = new Set<string>(gases);

/** Sunlight absorbed, S(1 − A)/4, W/m²: 1361 W/m² and a Bond albedo of 0.3. */
const sunlight = (1361 * 0.7) / 4;
/** W/m²/K⁴ */
const stefanBoltzmann = 5.670374419e-8;
/** bar */
const surfacePressure = 1.01325;

/** K. Below: ice spreads. Above: the stratosphere fills with water, which is lost to space (moist greenhouse). */
const habitable = { from: 273.15, below: 340 };

/** Thick beyond any use; keeps every number finite. */
const opticalDepthMax = 1e6;

const earthMass = meanMolarMass(earth);

/**
 * A grey atmosphere in radiative equilibrium: surface temperature from mixing ratios, in closed form. It has the shape
 * of the real problem (a cold edge, a hot edge, every gas in play) at about a microsecond a run; it is no climate model.
 *
 *     σ T⁴ = F · [(1 − γ)(1 + ¾ τ) + ½ γ]                    F = S(1 − A)/4 = 238 W/m²
 *     τ    = τ_H2O + τ_CO2 + τ_CH4 + τ_H2 + 0.029            infrared optical depth of the whole air
 *     τ_H2O = 0.6375 · u_H2O/0.0123                          vapour and its clouds, one absorption coefficient
 *     τ_CO2 = 0.0488 · ln(1 + u_CO2/1.26e-5)                 5.35 W/m² an e-fold, linear where thin
 *     τ_CH4 = 0.039 · ln(1 + √(u_CH4/1e-5))                  square root today, logarithm where thick
 *     τ_H2  = 0.22 · x_H2 · (x_N2 + x_H2)                    collisions of H2 with N2 and H2
 *     γ     = 0.35 · r/(1 + r), r = x_CH4/x_CO2              sunlight that organic haze absorbs on high
 *
 * x is a volume mixing ratio; u = x · 28.8/M, with M the mean molar mass (g/mol): at one surface pressure (1.01325 bar)
 * lighter air holds more molecules, so O2 cools a little and H2 warms. Earth's air today gives 288 K and τ = 0.85, of
 * which vapour and clouds make 75 %, CO2 20 %, the rest (0.029: ozone and others) with CH4 5 %. How much sunlight haze
 * takes is stylised, not fitted; on the real Earth oxygen prevents it.
 *
 * Stable: 273.15 K ≤ T < 340 K.
 *
 * A known gas that the search does not name has Earth's present mixing ratio. A parameter that is none of the six counts
 * as a grey absorber whose optical depth is its magnitude, so any space can be explored: around 0, up to Σ|x| of about 2,
 * such a point is stable.
 *
 * Sources: grey equilibrium and u, Pierrehumbert, Principles of Planetary Climate (2010), chapter 4; one coefficient for
 * water, Nakajima, Hayashi & Abe, J. Atmos. Sci. 49, 2256 (1992); shares, Schmidt et al., J. Geophys. Res. 115, D20106
 * (2010); CO2 and CH4, Myhre et al., Geophys. Res. Lett. 25, 2715 (1998); H2, Wordsworth & Pierrehumbert, Science 339, 64
 * (2013); γ, McKay, Pollack & Courtin, Science 253, 1118 (1991), and haze by CH4/CO2, Haqq-Misra et al., Astrobiology 8,
 * 1127 (2008); 340 K, Kasting, Icarus 74, 472 (1988).
 */
export class ReferenceSimulator implements Simulator {
  readonly keepsFiles = false;
  readonly facts = { simulator: 'reference' };

  /** `delayMs` makes each run last that long: a fleet's behaviour with long runs, without a long model. */
  constructor(private readonly settings: { delayMs?: number | undefined } = {}) {}

  async prepare(): Promise<void> {}

  async run(attempt: Attempt): Promise<Outcome> {
    if (this.settings.delayMs) await pause(this.settings.delayMs, attempt.signal);
    return { kind: 'completed', ...climateOf(attempt.parameters) };
  }

  async close(): Promise<void> {}
}

/** The model itself. Every number is rounded, so that no platform's last digit decides a verdict. */
export function climateOf(parameters: Dictionary): Result {
  const air = airOf(parameters);
  const depth = Math.min(opticalDepthOf(air) + unknownAbsorbers(parameters), opticalDepthMax);
  const haze = 0.35 * (air.CH4 === 0 ? 0 : air.CH4 / (air.CH4 + air.CO2));
  const flux = sunlight * ((1 - haze) * (1 + 0.75 * depth) + 0.5 * haze);
  const temperature = round(Math.sqrt(Math.sqrt(flux / stefanBoltzmann)), 3);
  return {
    stable: temperature >= habitable.from && temperature < habitable.below,
    temperature,
    pressure: surfacePressure,
    outputs: { optical_depth: round(depth, 6) },
  };
}

function opticalDepthOf(air: Air): number {
  const lightness = earthMass / meanMolarMass(air);
  const water = (0.6375 * lightness * air.H2O) / earth.H2O;
  const carbonDioxide = 0.0488 * Math.log(1 + (lightness * air.CO2) / 1.26e-5);
  const methane = 0.039 * Math.log(1 + Math.sqrt((lightness * air.CH4) / 1e-5));
  const hydrogen = 0.22 * air.H2 * (air.N2 + air.H2);
  return water + carbonDioxide + methane + hydrogen + 0.029;
}

/** The six gases; a mixing ratio below 0 is 0. */
function airOf(parameters: Dictionary): Air {
  const air = { ...earth };
  for (const gas of gases) air[gas] = Math.max(0, parameters[gas] ?? earth[gas]);
  return air;
}

function meanMolarMass(air: Air): number {
  let mass = 0;
  let amount = 0;
  for (const gas of gases) {
    mass += air[gas] * molarMass[gas];
    amount += air[gas];
  }
  return amount > 0 ? mass / amount : molarMass.N2;
}

function unknownAbsorbers(parameters: Dictionary): number {
  let depth = 0;
  for (const name in parameters) if (!isGas.has(name)) depth += Math.abs(parameters[name] as number);
  return depth;
}

function round(value: number, digits: number): number {
  const unit = 10 ** digits;
  return Math.round(value * unit) / unit;
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await wait(milliseconds, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
