import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, type RunnerTask, type RunnerTestSuite, test, vi } from 'vitest';
import { buildMutant } from './builtMutant.js';
import { mutantOf, mutate } from './mutation.js';

/** A guard of the protocol, what the program is without it, and the test that then fails. */
export interface Guard {
  /** What it sees to. */
  guard: string;
  /** Where it stands, in src/. */
  file: string;
  /** Its text, which stands there once. */
  text: string;
  /** What stands there in the mutant. */
  without: string;
  /** `file in test/ > describe > test`. */
  test: string;
  /** The test starts processes: the mutant is built for it. */
  built?: boolean;
}

declare module 'vitest' {
  interface TaskMeta {
    /** The test that must fail for want of a guard, by its names. */
    failing?: string[];
  }
}

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

// The modules of each mutant listen for the end of the process.
process.setMaxListeners(0);

/** Proves of each guard that its test fails without it, by an assertion. That it passes with it, the test itself shows. */
export function testGuards(what: string, guards: readonly Guard[]): void {
  describe(what, () => {
    for (const guard of guards) {
      const [, ...failing] = guard.test.split(' > ');
      const name = `${guard.guard}: its test fails without it`;
      const problems: unknown[] = [];
      const suite = describe(name, { meta: { failing } }, async () => {
        await importWithout(guard).catch((error) => problems.push(error));
      });
      const { collect } = suite;
      suite.collect = async (file) => keepOne(await collect(file), failing.join(' '), problems);
    }

    test('each guard is named once', () => {
      const names = guards.map(({ guard }) => guard);
      expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    });
  });
}

/** Leaves a suite one test, and the suites (with their hooks) that this is in; where there are problems the suite fails. */
function keepOne(suite: RunnerTestSuite, name: string, problems: unknown[]): RunnerTestSuite {
  let found = 0;
  const keep = (task: RunnerTask, outer: string): boolean => {
    const own = `${outer}${task.name}`;
    if (task.type === 'suite') {
      task.tasks = task.tasks.filter((inner) => keep(inner, `${own} `));
      return task.tasks.length > 0;
    }
    if (own === name) found++;
    return own === name;
  };
  suite.tasks = suite.tasks.filter((task) => keep(task, ''));
  if (problems.length === 0 && found !== 1) problems.push(new Error(`expected one test "${name}", got ${found}`));
  const errors = problems.map((problem) => {
    const { name, message, stack = message } = problem instanceof Error ? problem : new Error(String(problem));
    return { name, message, stack };
  });
  if (errors.length > 0) suite.result = { state: 'fail', errors };
  return suite;
}

/** Imports a guard's test file, and all that this imports in turn, with the mutant in the place of the guard's file. */
async function importWithout({ file, text, without, test, built }: Guard): Promise<void> {
  const [testFile] = test.split(' > ');
  const [mutated, mutation] = [path(`src/${file}`), { text, without }];
  const replaced = file.endsWith('.lua') ? 'node:fs' : mutated;
  const mutant = mutate(mutated, readFileSync(mutated, 'utf8'), mutation);
  vi.resetModules();
  vi.doMock(replaced, async (original) => {
    if (replaced === mutated) return import(/* @vite-ignore */ mutantOf(mutated, mutation));
    const fs = await original<typeof import('node:fs')>();
    const readFileSync = (asked: string | URL, ...more: []) =>
      String(asked).endsWith(`/src/${file}`) ? mutant : fs.readFileSync(asked, ...more);
    return { ...fs, readFileSync };
  });
  // What tests start ends with them, as the module says that knows what they started.
  await import(/* @vite-ignore */ path('test/support/vitest.setup.ts'));
  await import(/* @vite-ignore */ path(`test/${testFile}`));
  const { program } = (await import(path('test/support/program.ts'))) as typeof import('../support/program.js');
  if (built) {
    beforeAll(() => {
      program.folder = buildMutant(file, mutation);
    });
  }
  vi.doUnmock(replaced);
}
