import { describe, expect, it } from 'vitest';
import { simulatorSettings } from '../../src/simulators/settings.js';

const problemOf = (settings: unknown) => {
  const [issue] = simulatorSettings.safeParse(settings).error?.issues ?? [];
  return issue && `${issue.path.join('.')}: ${issue.message}`;
};

describe('the settings of a simulator', () => {
  it('have defaults for all but what only the user can know', () => {
    const sandbox = { kind: 'docker', image: 'atmos' };
    expect(simulatorSettings.parse({ kind: 'atmos', sandbox })).toEqual({
      kind: 'atmos',
      sandbox: {
        ...sandbox,
        pull: 'missing',
        memory: 2 ** 31,
        cpus: 1,
        pids: 256,
        scratch: 2 ** 29,
        outputBytes: 2 ** 30,
        outputFiles: 10_000,
        warm: true,
        entrypoint: 'keep',
        directory: '/code/atmos',
      },
      env: {},
      photochem: ['./Photo.run'],
      clima: ['./Clima.run'],
      climaSteps: 400,
    });
  });

  it.each([
    [{ kind: 'model' }, 'kind: one of the kinds reference, atmos, program'],
    [{ kind: 'program', command: 'model', sandbox: { kind: 'local' } }, 'command: a list: a program and its arguments'],
    [
      { kind: 'program', command: [], sandbox: { kind: 'local' } },
      'command: a program and its arguments, e.g. [python3, /opt/model.py]',
    ],
    [{ kind: 'program', command: [''], sandbox: { kind: 'local' } }, 'command: a program first'],
    [{ kind: 'atmos', sandbox: { kind: 'podman' } }, 'sandbox.kind: one of the kinds docker, local'],
    [{ kind: 'atmos', sandbox: { kind: 'docker' } }, 'sandbox.image: an image name'],
    [
      { kind: 'atmos', sandbox: { kind: 'docker', image: 'a', memory: '2 GB' } },
      'sandbox.memory: a size such as 512m or 2g',
    ],
    [
      { kind: 'atmos', sandbox: { kind: 'docker', image: 'a', memory: 2000 } },
      'sandbox.memory: a size such as 512m or 2g',
    ],
    [
      { kind: 'atmos', sandbox: { kind: 'docker', image: 'a', pull: 'often' } },
      'sandbox.pull: missing, always or never',
    ],
    [
      { kind: 'atmos', sandbox: { kind: 'docker', image: 'a', user: 'root' } },
      'sandbox.user: a numeric uid or uid:gid',
    ],
    [{ kind: 'atmos', sandbox: { kind: 'local', directory: 'atmos' } }, 'sandbox.directory: an absolute path'],
    [{ kind: 'atmos', climaSteps: 1, sandbox: { kind: 'local' } }, 'climaSteps: a whole number from 2'],
  ])('%j are refused', (settings, problem) => {
    expect(problemOf(settings)).toBe(problem);
  });

  it('turn the values of variables into text', () => {
    const env = { OMP_NUM_THREADS: 1, DEBUG: false, NAME: 'a b' };
    const settings = simulatorSettings.parse({ kind: 'program', command: ['a'], env, sandbox: { kind: 'local' } });
    expect(settings).toMatchObject({ env: { OMP_NUM_THREADS: '1', DEBUG: 'false', NAME: 'a b' } });
  });

  it.each([
    'FLEET_INPUT_DIR',
    'ATMOS_FLEET_DASHBOARD_TOKEN',
    'REDIS_URL',
    'REDIS_URL_FILE',
    'DATABASE_URL',
    'DATABASE_URL_FILE',
    'GOOGLE_APPLICATION_CREDENTIALS',
    'A-B',
    '',
  ])('refuse the variable "%s", to set or to pass on', (name) => {
    const program = { kind: 'program', command: ['a'], sandbox: { kind: 'local' } };
    expect(problemOf({ ...program, env: { [name]: 'a' } })).toMatch(
      `env.${name}: a variable's name, none of the fleet`,
    );
    const sandbox = { kind: 'local', passEnvironment: [name] };
    expect(problemOf({ ...program, sandbox })).toMatch(
      "sandbox.passEnvironment.0: a variable's name, none of the fleet",
    );
  });
});
