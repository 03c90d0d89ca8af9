// Stable regions that are known exactly, on lattices of step 1.
const squared = (at) => at.reduce((sum, x) => sum + x * x, 0);

export const shapes = {
  ball: { dimensions: 3, from: -6, to: 6, start: [0, 0, 0], holds: (at) => squared(at) <= 16 },
  shell: { dimensions: 3, from: -6, to: 6, start: [4, 0, 0], holds: (at) => squared(at) >= 9 && squared(at) <= 25 },
  /** Two squares, one cell of the way between them wide: whoever loses that cell loses the second. */
  islands: {
    dimensions: 2,
    from: -7,
    to: 22,
    start: [0, 0],
    holds: ([x, y]) => (Math.abs(y) <= 6 && (Math.abs(x) <= 6 || (x >= 9 && x <= 20))) || (y === 0 && x > 6 && x < 9),
  },
  simplex: {
    dimensions: 5,
    from: 0,
    to: 6,
    start: [0, 0, 0, 0, 0],
    holds: (at) => at.reduce((sum, x) => sum + x, 0) <= 4,
  },
};

export const stableIn = (shape, at) => shapes[shape].holds(at);
