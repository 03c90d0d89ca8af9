import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the program as it is shipped. */
export const root = fileURLToPath(new URL('../..', import.meta.url));
/** Where the tests' copy of it is. */
export const copyFolder = join(root, 'test-output', 'program');
/** The program whose roles are started: the tests' copy in tests, what is shipped in measurements. */
export const program = { folder: root };
