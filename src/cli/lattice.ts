import { oddities } from '../simulators/index.js';
import { latticeSize } from '../space/lattice.js';
import type { Space } from '../space/space.js';
import { sayCount, spaceWarnings } from '../space/warnings.js';
import type { Workbench } from './wire.js';

/** How large the lattice of a search is, in a sentence. */
export function describeLattice(space: Space): string {
  const { points, exact, endless } = latticeSize(space);
  if (endless.length > 0) return `the lattice has no end: no max for ${endless.join(', ')}`;
  return `the lattice has ${exact ? '' : 'at most '}${sayCount(points)} points`;
}

/** What a person should know of the search before it starts. */
export function searchWarnings({ config, search }: Workbench): string[] {
  return [...spaceWarnings(search.space), ...oddities(config.simulator, config.parameters)];
}
