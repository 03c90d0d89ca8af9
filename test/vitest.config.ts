import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { mutants } from './faults/mutation.js';

// Timeouts are there to end what hangs; no test expects a pace.
export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    maxWorkers: 2,
    setupFiles: ['test/support/vitest.setup.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/*.test.ts', 'test/unit/**/*.test.ts'], testTimeout: 60_000 },
      },
      {
        extends: true,
        plugins: [mutants],
        test: {
          name: 'integration',
          runner: 'test/faults/mutantRunner.ts',
          include: ['test/integration/**/*.test.ts', 'test/faults/**/*.test.ts'],
          globalSetup: ['test/support/vitest.build.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
