import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** For a mutant's copy of the tree: one test of any project, without the build that most tests do not need. */
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    cache: false,
    setupFiles: ['test/support/vitest.setup.ts'],
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
  },
});
