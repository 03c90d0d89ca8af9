import { type RunnerTestCase, TestRunner } from 'vitest';

/** What `expect` throws: of a promise it is an error like any other, but for where it comes from. */
const byAssertion = /^AssertionError|@vitest\/expect\//;

/** For vitest: the test of a mutant passes when it fails by an assertion; all others are run as ever. */
export default class MutantRunner extends TestRunner {
  async runTask(test: RunnerTestCase): Promise<void> {
    const run = TestRunner.getTestFn(test);
    if (test.meta.failing === undefined) return run();
    const error = await Promise.resolve(run()).then(
      () => new Error('the mutant survived'),
      (reason: unknown) => [reason].flat()[0] as Error,
    );
    if (!byAssertion.test(error.stack ?? '')) throw error;
  }
}
