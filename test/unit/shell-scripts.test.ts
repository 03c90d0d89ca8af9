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

  /** What an account is granted on what: `projects my-project roles/…`. */
  function grantsOf(account: string, dryRun: string): string[] {
    const member = `--member=serviceAccount:${account}@my-project.iam.gserviceaccount.com `;
    const granted = dryRun
      .split('\n')
      .filter((line) => line.includes('add-iam-policy-binding') && line.includes(member));
    return granted.map((line) => {
      const [, kind, place, role] = /--quiet (.*) add-iam-policy-binding (\S+) .*--role=(\S+)/.exec(line) ?? [];
      return `${kind} ${place} ${role}`;
    });
  }

  test('grants workers their folder, logs, images and the address of Redis', () => {
    const { stdout } = run('create.sh', ['--dry-run', '--env', example]);
    expect(grantsOf('ultron-worker', stdout).sort()).toEqual([
      'artifacts repositories fleet roles/artifactregistry.reader',
      'projects my-project roles/logging.logWriter',
      'secrets atmos-fleet-redis-authority roles/secretmanager.secretAccessor',
      'secrets atmos-fleet-redis-url roles/secretmanager.secretAccessor',
      'storage managed-folders gs://my-project-atmos-fleet/pyatmos/ roles/storage.objectUser',
    ]);
    const template = stdout.split('\n').find((line) => line.includes('instance-templates create'));
    expect(template).toContain('--service-account=ultron-worker@my-project.iam.gserviceaccount.com ');
  });

  test('grants the other roles SQL and secrets, and nobody the deletion of a machine', () => {
    const { stdout } = run('create.sh', ['--dry-run', '--env', example]);
    expect(
      grantsOf('ultron', stdout)
        .filter((grant) => grant.startsWith('projects'))
        .sort(),
    ).toEqual([
      'projects my-project projects/my-project/roles/atmosFleetScaler',
      'projects my-project roles/cloudsql.client',
      'projects my-project roles/cloudsql.instanceUser',
      'projects my-project roles/logging.logWriter',
      'projects my-project roles/monitoring.metricWriter',
    ]);
    expect([...stdout.matchAll(/--permissions=(\S+)/g)].map(([, list]) => list)).toEqual([
      'compute.instanceGroupManagers.update',
    ]);
  });

  test("gives Redis's own machine an account that reads its password alone", () => {
    const path = join(temporaryFolder(), 'fleet.env');
    const config = join(folder, '../earth-like.yaml');
    const text = readFileSync(example, 'utf8')
      .replace(/^REDIS=.*$/m, 'REDIS=vm')
      .replace(/^CONFIG=.*$/m, `CONFIG=${config}`);
    writeFileSync(path, text);
    const { stdout } = run('create.sh', ['--dry-run', '--env', path]);
    expect(grantsOf('ultron-redis', stdout)).toEqual([
      'secrets atmos-fleet-redis-password roles/secretmanager.secretAccessor',
    ]);
    expect(grantsOf('ultron-worker', stdout).join()).not.toContain('password');
    expect(stdout).toMatch(/instances create atmos-fleet-redis .*--service-account=ultron-redis@/);
  });

  test('makes the repository of the images, and leads the names of Google to Private Google Access', () => {
    const { stdout } = run('create.sh', ['--dry-run', '--env', example]);
    expect(stdout).toMatch(/artifacts repositories create fleet --location=us-central1 --repository-format=docker/);
    expect(stdout).toMatch(/dns managed-zones create .*--dns-name=googleapis\.com\. .*--visibility=private/);
    expect(stdout).toMatch(/record-sets create private\.googleapis\.com\. .*--rrdatas=199\.36\.153\.8/);
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

/** Runs startup.sh with stand-ins for what it calls; answers what it called, in order, with what they read. */
function startUp(attributes: Record<string, string>, { failing = '', status = '' } = {}) {
  const where = temporaryFolder();
  const [bin, calls] = [join(where, 'bin'), join(where, 'calls')];
  mkdirSync(bin);
  const script = (name: string, text: string) => {
    writeFileSync(join(bin, name), `#!/usr/bin/env bash\n${text}\n`, { mode: 0o755 });
  };
  const cases = Object.entries(attributes).map(([name, value]) => `  */attributes/${name}) echo '${value}' ;;`);
  const address = Buffer.from('rediss://:secret@10.1.2.3:6378?ca=/etc/atmos-fleet/x.pem').toString('base64');
  script(
    'curl',
    `case "$*" in
${cases.join('\n')}
  */attributes/*) exit 22 ;;
  */token) echo '{"access_token":"token","expires_in":1}' ;;
  *--config*) cat >>${calls}; echo '{"payload": {"data": "${address}"}}' ;;
  *) echo projects/1/zones/zone ;;
esac`,
  );
  const record = (name: string) =>
    `echo "${name} $*" >>${calls}; [[ -z '${failing}' || "$*" != ${failing || '-'} ]] || exit 1`;
  script(
    'docker',
    `[[ $1 != login ]] || cat >/dev/null\n${record('docker')}\n[[ $* != *'status --json' ]] || echo '${status}'`,
  );
  script('iptables', `[[ $* == *--check* ]] && exit 1\n${record('iptables')}`);
  script('chown', '');
  script('sleep', `echo x >>${where}/slept; [[ $(wc -l <${where}/slept) -lt 4 ]]`);
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, FLEET_FOLDER: join(where, 'etc') };
  const { status: ended } = run('startup.sh', [], env);
  return { ended, calls: readFileSync(calls, 'utf8').trim().split('\n') };
}

describe('a machine', () => {
  const common = { 'fleet-name': 'fleet', 'fleet-image': 'host/image', 'fleet-config': 'name: x', 'fleet-redis': 'vm' };

  test('of workers confines their containers before it starts one, and deletes nothing', () => {
    const { ended, calls } = startUp({ ...common, 'fleet-slots': '4' });
    expect(ended).toBe(0);
    const started = calls.findIndex((call) => call.startsWith('docker run'));
    expect(calls[started]).toMatch(/--name worker .*worker --exit-when-done --concurrency 4/);
    expect(calls[started]).not.toContain('--network host');
    const rules = calls.slice(0, started).filter((call) => call.startsWith('iptables'));
    const places = rules.flatMap(
      (rule) => /--append FLEET --jump RETURN.*--destination (\S+).*--dport (\d+)/.exec(rule)?.slice(1).join(':') ?? [],
    );
    expect(places).toEqual([
      '10.1.2.3:6378',
      '199.36.153.8/30:443',
      ...[80, 53, 53].map((port) => `169.254.169.254:${port}`),
    ]);
    expect(rules.at(-3)).toBe('iptables --wait --append FLEET --jump DROP');
    expect(rules.slice(-2).join()).toMatch(
      /--insert DOCKER-USER --jump FLEET.*--insert INPUT --in-interface docker0 --jump DROP/,
    );
    expect(calls.join('\n')).not.toMatch(/instanceGroupManagers|:secret@/);
  });

  test('of workers starts none when their containers cannot be confined', () => {
    const { ended, calls } = startUp({ ...common, 'fleet-slots': '4' }, { failing: '*DROP*' });
    expect(ended).not.toBe(0);
    expect(calls.filter((call) => call.startsWith('docker run'))).toEqual([]);
  });

  test.each([
    ['{"workers":0,"done":true}', 1],
    ['{"workers":0,"killed":true,"done":false}', 1],
    ['{"workers":2,"done":false,"killed":true}', 0],
    ['{"workers":0,"done":false,"killed":false}', 0],
  ])('of the other roles empties the group of workers once when it is over: %s', (status, times) => {
    const { calls } = startUp({ ...common, 'fleet-database': 'mysql://x' }, { status });
    expect(calls.filter((call) => call.includes('status --json'))).toHaveLength(3);
    expect(calls.filter((call) => call.includes('instanceGroupManagers/fleet/resize?size=0'))).toHaveLength(times);
  });
});

test('no image is named at gcr.io, which was shut down', () => {
  const found = spawnSync('git', ['grep', '-lF', ['gcr.io', ''].join('/')], { cwd: root, encoding: 'utf8' });
  expect(found.stdout).toBe('');
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
  const old = ['gcr.io', 'my-project/image'].join('/');
  expect(refusal(text.replace(/^FLEET_IMAGE=.*$/m, `FLEET_IMAGE=${old}`))).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/FLEET_IMAGE is .*wants REGION-docker\.pkg\.dev/),
  });
});
