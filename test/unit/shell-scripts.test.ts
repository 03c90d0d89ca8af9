import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'scripts/gcp/');
const example = join(folder, 'fleet.env.example');
const scripts = ['create.sh', 'delete.sh', 'startup.sh', 'redis-startup.sh'];

function run(script: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  return spawnSync(join(folder, script), args, { encoding: 'utf8', env });
}

/** A gcloud that keeps in files what it was told to make, and answers whether it is there: not Google's, but as forgetful. */
function gcloudIn(where: string): NodeJS.ProcessEnv {
  const state = join(where, 'state');
  mkdirSync(state);
  const text = `#!/usr/bin/env bash
shift 3 # --project P --quiet
echo "$*" >>${where}/calls
key=
for word in "$@"; do
  word=\${word%%@*}
  [[ $word == --* ]] || key+=_\${word//[!a-z0-9-]/_}
done
case " $* " in
  *' describe '*) [[ -e ${state}/\${key/describe/create} ]] && echo 10.0.0.3 ;;
  *' versions access '*) cat ${state}/secret 2>/dev/null ;;
  *' versions add '*) cat >${state}/secret ;;
  *' create '*) touch "${state}/$key" ;;
esac
`;
  const bin = join(where, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'gcloud'), text);
  chmodSync(join(bin, 'gcloud'), 0o755);
  return { ...process.env, PATH: `${bin}:${process.env.PATH}` };
}

test('shellcheck has nothing to say of any script of the repository', () => {
  const files = execFileSync('git', ['ls-files', 'scripts', '.ci'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
  const shell = files.filter((file) => /^#!.*bash|^# shellcheck shell/.test(readFileSync(join(root, file), 'utf8')));
  expect(shell.length).toBeGreaterThan(8);
  const { stdout, status } = spawnSync('shellcheck', ['-x', ...shell], { cwd: root, encoding: 'utf8' });
  expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
});

describe.each(scripts)('scripts/gcp/%s', (script) => {
  test('tells what it does', () => {
    const { status, stdout } = run(script, ['--help']);
    expect(status).toBe(0);
    expect(stdout).toContain('--help');
  });
});

describe('a dry run', () => {
  test.each(['create.sh', 'delete.sh'])('of %s calls nothing and shows no secret', (script) => {
    const env = { ...process.env, PATH: '/usr/bin:/bin' };
    const { status, stdout } = run(script, ['--dry-run', '--yes', '--env', example], env);
    expect(status).toBe(0);
    const lines = stdout.trim().split('\n');
    expect(lines.filter((line) => !line.startsWith('gcloud --project my-project --quiet '))).toEqual([]);
    expect(lines.length).toBeGreaterThan(12);
    expect(stdout).not.toMatch(/PASSWORD|AUTHORITY/);
  });

  test('grants the service account no role over the whole project that can change it', () => {
    const { stdout } = run('create.sh', ['--dry-run', '--env', example]);
    const roles = [...stdout.matchAll(/projects add-iam-policy-binding .*--role=(\S+)/g)].map(([, role]) => role);
    expect(roles).toEqual([
      'roles/cloudsql.client',
      'roles/cloudsql.instanceUser',
      'roles/logging.logWriter',
      'roles/monitoring.metricWriter',
      'projects/my-project/roles/atmosFleetWorker',
    ]);
  });

  test('of a delete without --yes leaves the results', () => {
    const { stdout } = run('delete.sh', ['--dry-run', '--env', example]);
    expect(stdout).not.toMatch(/sql instances|storage|networks/);
  });
});

test('what is there already is not made again', () => {
  const where = temporaryFolder();
  const env = gcloudIn(where);
  expect(run('create.sh', ['--env', example], env)).toMatchObject({
    status: 0,
    stderr: expect.not.stringMatching(/rror/),
  });
  const calls = () => readFileSync(join(where, 'calls'), 'utf8').trim().split('\n');
  const first = calls();
  expect(first.filter((call) => / create /.test(call)).length).toBeGreaterThan(12);
  expect(run('create.sh', ['--env', example], env)).toMatchObject({ status: 0 });
  const second = calls().slice(first.length);
  expect(second.filter((call) => / create /.test(call))).toEqual([]);
  expect(calls().filter((call) => /rediss?:\/\//.test(call))).toEqual([]);
});

test.each([
  [['--frobnicate'], /unknown argument '--frobnicate'/],
  [['--env', '/nowhere/fleet.env'], /there is no \/nowhere\/fleet.env/],
])('wrong usage is refused: %s', (args, message) => {
  expect(run('create.sh', args)).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
});

test('an env file that lacks a variable, or has a wrong one, is refused', () => {
  const path = join(temporaryFolder(), 'fleet.env');
  const text = readFileSync(example, 'utf8');
  const refusal = (content: string) => {
    writeFileSync(path, content);
    return run('create.sh', ['--dry-run', '--env', path]);
  };
  expect(refusal(text.replace(/^BUCKET=.*$/m, ''))).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/BUCKET/),
  });
  expect(refusal(text.replace(/^REDIS=.*$/m, 'REDIS=some'))).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/wants memorystore or vm/),
  });
});
