import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { Child } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { runRole } from '../support/processes.js';

const search = stringify({ name: 'small', parameters: { CO2: { start: 0.0004, step: 0.1, max: 0.35 } } });

/** A folder with a small search, and a folder `mine` with another one's results, under the names that everybody's have. */
function place(): { cwd: string; config: string; mine: string } {
  const cwd = temporaryFolder();
  const [config, mine] = [join(cwd, 'small.yaml'), join(cwd, 'mine')];
  writeFileSync(config, search);
  mkdirSync(join(mine, 'results', 'deep'), { recursive: true });
  writeFileSync(join(mine, 'atmos-fleet.yaml'), search);
  writeFileSync(join(mine, 'atmos-fleet.db'), 'months of work');
  return { cwd, config, mine };
}

const demo = (cwd: string, ...args: string[]) => runRole('demo', args, { cwd });
const intact = (folder: string) => readdirSync(folder).sort();

describe('the folder of a demo', () => {
  test('is made, holds its results, and is replaced by the next demo', async () => {
    const { cwd, config } = place();
    const first = await demo(cwd, '--config', config);
    expect([first.status, first.stderr]).toEqual([0, '']);
    const folder = join(cwd, 'atmos-fleet-demo');
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(['atmos-fleet.db', 'report.html', 'worker-1.log']));
    writeFileSync(join(folder, 'old.txt'), '');
    symlinkSync(folder, join(cwd, 'link'));
    const second = await demo(cwd, '--config', config, '--directory', 'link/');
    expect([second.status, second.stderr]).toEqual([0, '']);
    expect(existsSync(join(folder, 'old.txt'))).toBe(false);
    expect(existsSync(join(folder, 'report.html'))).toBe(true);
  });

  test.each([
    ['a search of somebody', 'mine', ''],
    ['the current directory', '.', 'mine'],
    ['the current directory by its name', '../mine/', 'mine'],
    ['the current directory by a link', '../link', 'mine'],
    ['a folder above the current one', '../../mine', 'mine/results'],
    ['a folder above the current one by a link', '../../link/', 'mine/results'],
  ])('is never %s', async (_, directory, within) => {
    const { cwd, config, mine } = place();
    symlinkSync(mine, join(cwd, 'link'));
    const before = intact(mine);
    const { status, stderr, stdout } = await demo(join(cwd, within), '--config', config, '--directory', directory);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^--directory: \S+ (was not made by a demo|is the current directory, or above it).*\n$/);
    expect(intact(mine)).toEqual(before);
    expect(readFileSync(join(mine, 'atmos-fleet.db'), 'utf8')).toBe('months of work');
  });

  test('is not one that carries its mark, but is the current directory, was copied or was moved', async () => {
    const { cwd, config } = place();
    await demo(cwd, '--config', config, '--directory', 'made');
    const [made, copy, moved] = ['made', 'copy', 'moved'].map((name) => join(cwd, name)) as [string, string, string];
    cpSync(made, copy, { recursive: true });
    const inside = await demo(made, '--config', config, '--directory', '.');
    expect([inside.status, inside.stderr]).toEqual([2, expect.stringContaining('is the current directory')]);
    renameSync(made, moved);
    for (const other of [copy, moved]) {
      const { status, stderr } = await demo(cwd, '--config', config, '--directory', other);
      expect([status, stderr]).toEqual([2, expect.stringContaining('was not made by a demo there')]);
      expect(existsSync(join(other, 'atmos-fleet.db'))).toBe(true);
    }
  });

  test('is not replaced where the configuration is in it', async () => {
    const { cwd, config } = place();
    await demo(cwd, '--config', config);
    const kept = join(cwd, 'atmos-fleet-demo', 'atmos-fleet.yaml');
    const { status, stderr } = await demo(cwd, '--config', kept);
    expect([status, stderr]).toEqual([2, expect.stringContaining('is in it: copy the file elsewhere')]);
    expect(readFileSync(kept, 'utf8')).toBe(search);
  });

  test('is a sentence where it cannot be made', async () => {
    const { cwd, config } = place();
    const { status, stderr } = await demo(cwd, '--config', config, '--directory', join(config, 'below-a-file'));
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^--directory: .* cannot be used: ENOTDIR.*\n$/)]);
  });
});

describe('a demo', () => {
  test('whose process fails says in a sentence which, and what it said', async () => {
    const { cwd, config } = place();
    const script = '#!/bin/sh\n[ "$1" = --version ] || { echo no memory; exit 3; }\n';
    writeFileSync(join(cwd, 'redis-server'), script, { mode: 0o755 });
    const { status, stderr } = await runRole('demo', ['--config', config], { cwd, env: { PATH: cwd } });
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^redis ended early \(status 3\): no memory\. Its log: \S+redis\.log\n$/),
    ]);
  });

  test('whose reader goes ends quietly, and leaves no process behind', async () => {
    const { cwd, config } = place();
    const program = fileURLToPath(new URL('../../dist/bin/demo.js', import.meta.url));
    const line = `{ node ${program} --config ${config}; echo "status $?" >&2; } | head -1`;
    const reading = await Child.start('bash', ['-c', line], { cwd });
    await reading.exited;
    expect([reading.stdout, reading.stderr]).toEqual(['small: the lattice has 4 points\n', 'status 0\n']);
    const folder = realpathSync(join(cwd, 'atmos-fleet-demo'));
    expect(readdirSync('/proc').filter((id) => /^\d+$/.test(id) && folderOf(id) === folder)).toEqual([]);
  });
});

/** The working directory of a process; undefined once it has ended. */
function folderOf(id: string): string | undefined {
  try {
    return readlinkSync(`/proc/${id}/cwd`);
  } catch {
    return undefined;
  }
}
