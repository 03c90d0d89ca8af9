const earth = { O2: 0.21, H2O: 0.0123, CH4: 0.00000163, CO2: 0.0004, H2: 0.0000000813 };

/** Earth-like searches in 5 dimensions, reach 2: up to 20 proposals a stable point; nearly every point is stable. */
export function grid(size: 'small' | 'published' | 'million') {
  const max = {
    small: { O2: 0.3, H2O: 0.05, CH4: 0.02, CO2: 0.05, H2: 0.02 },
    published: { O2: 0.3, H2O: 0.06, CH4: 0.04, CO2: 0.08, H2: 0.04 },
    million: { O2: 0.5, H2O: 0.08, CH4: 0.06, CO2: 0.15, H2: 0.07 },
  }[size];
  const step = { O2: 0.01, H2O: 0.01, CH4: 0.005, CO2: 0.01, H2: 0.005 };
  const axis = (name: keyof typeof earth) => ({ start: earth[name], step: step[name], max: max[name] });
  return {
    name: `bench-${size}`,
    parameters: {
      O2: axis('O2'),
      N2: { start: 0.7772982887, filler: true },
      H2O: axis('H2O'),
      CH4: axis('CH4'),
      CO2: axis('CO2'),
      H2: axis('H2'),
    },
    search: { mode: 'sides', reach: 2 },
    simulator: { kind: 'reference' },
  };
}

/** A line of independent points, each run lasting so long: for fleets of many slots. */
export function waits(name: string, delayMs: number, across: number) {
  const max = (across - 1) / 100;
  const axis = { start: 0.01, min: 0, max, step: [{ below: 10, by: 0.01 }] };
  return {
    name,
    parameters: { a: axis, b: axis, c: axis },
    search: { mode: 'diagonals', reach: 2 },
    simulator: { kind: 'reference', delayMs },
  };
}
