import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createSimulator } from '../../src/simulators/index.js';
import { simulatorSettings } from '../../src/simulators/settings.js';
import { removeDirectory } from '../../src/support/files.js';
import { attemptWith } from '../support/attempt.js';
import { attemptDirectories, temporaryDirectory } from '../support/directories.js';
import { busyboxImage } from '../support/docker.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const done = `echo '{"stable":true}' >"$FLEET_OUTPUT_DIR/result.json"`;
/** Directories in `$1`, so deep in each other that no path leads to the last, which holds a file and is shut. */
const deep = `
  chain=$(printf 'dddddddddddddddddd/%.0s' $(seq 180))
  mkdir -p "$1/one/$chain" "$1/two/$chain"
  touch "$1/two/$chain/file"
  chmod 0 "$1/two/$chain"
  mv "$1/two" "$1/one/$chain"`;

beforeAll(busyboxImage);

const places = [
  { kind: 'local', sandbox: async () => ({ kind: 'local', scratch: await temporaryDirectory() }) },
  {
    kind: 'docker',
    sandbox: async () => ({ kind: 'docker', image: await busyboxImage(), memory: '64m', scratch: '32m', pids: 64 }),
  },
];

describe.each(places)('what a run leaves in the sandbox $kind', ({ kind, sandbox }) => {
  const limits = { outputBytes: '20m', outputFiles: 60 };

  /** Runs shell scripts, each as one run of one simulator, and answers the last one's outcome and directory. */
  async function ran(...scripts: string[]) {
    const folder = await sandbox();
    const command = ['sh', '-c', `eval "$(cat "$FLEET_INPUT_DIR/script")"`];
    const settings = simulatorSettings.parse({ kind: 'program', command, sandbox: { ...folder, ...limits } });
    const simulator = createSimulator(settings, { timeoutSeconds: 60 });
    onTestFinished(() => simulator.close());
    await simulator.prepare();
    let last = { outcome: undefined as unknown, output: '' };
    for (const script of scripts) {
      const { input, output } = await attemptDirectories();
      await writeFile(join(input, 'script'), script);
      last = { outcome: await simulator.run(attemptWith({ directories: { input, output } })), output };
    }
    return { ...last, simulator, folder };
  }

  it.each([
    ['a name that is not UTF-8', `touch "$FLEET_OUTPUT_DIR/$(printf 'a\\377')"`, "a file whose name is not UTF-8: 'a"],
    [
      'a long name that is not UTF-8',
      `touch "$FLEET_OUTPUT_DIR/$(printf '\\377%.0s' $(seq 255))"`,
      'a file whose name is not UTF-8',
    ],
    [
      'names that differ in such bytes alone',
      `cd "$FLEET_OUTPUT_DIR"; echo 1 >"$(printf 'a\\376')"; echo 2 >"$(printf 'a\\377')"`,
      'a file whose name is not UTF-8',
    ],
    [
      'a path that no bucket takes',
      `cd "$FLEET_OUTPUT_DIR"; for i in 1 2 3 4; do d=$(printf 'x%.0s' $(seq 200)); mkdir $d; cd $d; done; touch file`,
      'a path of more than 700 bytes',
    ],
    ['directories beyond all paths', `set -- "$FLEET_OUTPUT_DIR"; ${deep}`, 'a path of more than 700 bytes'],
    [
      'a file in the place of its directory',
      'rm -r "$FLEET_OUTPUT_DIR"; echo 1 >"$FLEET_OUTPUT_DIR"',
      'a file in the place of its directory output',
    ],
    ['too many files', 'cd "$FLEET_OUTPUT_DIR"; for i in $(seq 70); do touch $i; done', 'more than 60 files'],
    ['too many directories', 'cd "$FLEET_OUTPUT_DIR"; for i in $(seq 70); do mkdir $i; done', 'more than 60 files'],
    [
      'files that are large, but empty',
      'truncate -s 15M "$FLEET_OUTPUT_DIR/one"; truncate -s 15M "$FLEET_OUTPUT_DIR/two"',
      `more than ${20 * 2 ** 20} bytes`,
    ],
  ])('is an error of its program where it has %s', async (_, script, message) => {
    const { outcome, output } = await ran(`${done}; echo printed; (${script})`);
    expect(outcome).toEqual({ kind: 'error', errorKind: 'program', message: expect.stringContaining(message) });
    expect(await readdir(output)).toEqual(['fleet_log.txt']);
    expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toContain('printed');
  });

  it('may have any name of whole characters', async () => {
    const { outcome, output } = await ran(
      `${done}; cd "$FLEET_OUTPUT_DIR"; touch -- "$(printf 'a\\nb')" 'é 漢 %0A' "-rf *"`,
    );
    expect(outcome).toMatchObject({ kind: 'completed' });
    expect((await readdir(output)).sort()).toEqual(['-rf *', 'a\nb', 'fleet_log.txt', 'result.json', 'é 漢 %0A']);
  });

  it('takes no more room than it has content', async () => {
    const { outcome, output } = await ran(
      `${done}; cd "$FLEET_OUTPUT_DIR"; truncate -s 8M hole; printf end >>hole; truncate -s 9M hole`,
    );
    expect(outcome).toMatchObject({ kind: 'completed' });
    const { size, blocks } = await stat(join(output, 'hole'));
    expect(size).toBe(9 * 2 ** 20);
    expect(blocks * 512).toBeLessThan(2 ** 20);
    const content = await readFile(join(output, 'hole'));
    expect(content.subarray(8 * 2 ** 20, 8 * 2 ** 20 + 3).toString()).toBe('end');
    expect(content.subarray(0, 8 * 2 ** 20).every((byte) => byte === 0)).toBe(true);
  });

  it('is removed before the next run, however deep it goes', async () => {
    const { outcome, simulator, folder } = await ran(
      `${done}; set -- .; ${deep}; touch "one/$(printf 'a\\377')"; chmod 500 one .`,
      `${done}; set -- "$TMPDIR"; ${deep}`,
      `ls -A . "$TMPDIR" | grep one; ${done}`,
    );
    expect(outcome).toMatchObject({ kind: 'completed' });
    await simulator.close();
    if (kind === 'local') expect(await readdir((folder as { scratch: string }).scratch)).toEqual([]);
  });
});

describe('the removal of a directory', () => {
  it('removes one whose rights, names and depth are what a program made of them, and no more', async () => {
    const parent = await temporaryDirectory();
    const outside = join(parent, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'file'), '');
    const top = join(parent, 'top');
    await mkdir(join(top, 'one', 'two', 'three'), { recursive: true });
    const script = `ln -s ../../outside one/link; touch "one/$(printf 'a\\376')"; mkdir "one/two/$(printf 'b\\377')"
      mkfifo one/fifo; ${deep}`;
    execFileSync('sh', ['-c', script, 'sh', 'one/two/three'], { cwd: top });
    await removeDirectory(top);
    expect(await readdir(parent)).toEqual(['outside']);
    expect(await readdir(outside)).toEqual(['file']);
    await removeDirectory(top);
  });
});
