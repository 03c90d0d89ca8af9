import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { Child } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';

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

interface Report {
  testResults: {
    message: string;
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[];
  }[];
}

/** The configuration of all tests builds dist/ first; the other one is for tests that need none. */
const usual = 'test/vitest.config.ts';
const quick = 'test/faults/mutant.config.ts';
/** What `expect` throws: of a promise it is an error like any other, but for where it comes from. */
const byAssertion = /^AssertionError|@vitest\/expect\//;
const root = fileURLToPath(new URL('../..', import.meta.url));
const vitest = join(root, 'node_modules/vitest/vitest.mjs');

/** A copy of the tree, in which one mutant after the other stands. */
class MutantTree {
  private readonly folder = temporaryFolder();

  constructor() {
    for (const part of ['src', 'test', 'scripts', 'package.json', 'tsconfig.json']) {
      cpSync(join(root, part), join(this.folder, part), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'));
  }

  /** Runs a guard's test without the guard; answers how it ended, and why. */
  async endWithout({ file, text, without, test, built = false }: Guard) {
    const path = join(this.folder, 'src', file);
    const source = readFileSync(path, 'utf8');
    expect(source.split(text), `${text} stands once in ${file}`).toHaveLength(2);
    writeFileSync(
      path,
      source.replace(text, () => without),
    );
    try {
      const [testFile, ...names] = test.split(' > ');
      return await this.run(`test/${testFile}`, names.join(' '), built ? usual : quick);
    } finally {
      writeFileSync(path, source);
    }
  }

  private async run(file: string, name: string, config: string) {
    const output = join(this.folder, 'report.json');
    writeFileSync(output, '');
    const pattern = `^${name.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`;
    const args = ['run', '--config', config, file, '--testNamePattern', pattern];
    const caching = [
      '--experimental.fsModuleCache',
      `--experimental.fsModuleCachePath=${join(this.folder, 'modules')}`,
    ];
    const reporting = ['--reporter=json', `--outputFile=${output}`];
    const child = await Child.start(process.execPath, [vitest, ...args, ...caching, ...reporting], {
      cwd: this.folder,
      env: plain(),
    });
    await child.exited;
    const told = readFileSync(output, 'utf8');
    if (told === '') throw new Error(`no test ran:\n${child.stdout}${child.stderr}`);
    const { testResults } = JSON.parse(told) as Report;
    const ran = testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ status }) => status !== 'skipped');
    const messages = testResults.map(({ message }) => message).join('\n');
    expect(
      ran.map(({ fullName }) => fullName),
      `the tests that ran\n${messages}`,
    ).toEqual([name]);
    const { status, failureMessages } = ran[0] as (typeof ran)[0];
    return { status, why: failureMessages[0] ?? '' };
  }
}

/** The environment, without what vitest tells its own workers. */
function plain(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));
}

/** Proves of each guard that its test fails without it, by an assertion. That it passes with it, the test itself shows. */
export function testGuards(what: string, guards: readonly Guard[]): void {
  describe(what, () => {
    let tree: MutantTree;
    beforeAll(() => {
      tree = new MutantTree();
    });

    for (const guard of guards) {
      test(`${guard.guard}: its test fails without it`, async () => {
        const { status, why } = await tree.endWithout(guard);
        expect(status, 'the mutant survived').toBe('failed');
        expect(why).toMatch(byAssertion);
      });
    }

    test('each guard is named once', () => {
      const names = guards.map(({ guard }) => guard);
      expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    });
  });
}
