import { writeFileSync } from 'node:fs';
import type { Argv } from 'yargs';
import { UsageError } from '../../support/errors.js';
import { say } from '../terminal.js';

const kinds = ['reference', 'program', 'atmos'] as const;
type Kind = (typeof kinds)[number];

const air = `parameters: # volume mixing ratios, in the order of the parameter code
  O2: { start: 0.21, step: 0.01, max: 0.3 }
  N2: { start: 0.7772982887, filler: true } # takes what the others leave of 1
  H2O: { start: 0.0123, step: 0.01, max: 0.05 } # no max: the search may never end; \`starter\` tells the lattice's size
  CH4: { start: 0.00000163, step: 0.005, max: 0.02 }
  CO2: { start: 0.0004, step: 0.01, max: 0.05 }
  H2: { start: 0.0000000813 } # no step: it stays as it is`;

const plain = `parameters: # your program gets them by these names; a number of axes, each with a start, a step and bounds
  mass: { start: 1.0, step: [{ below: 10.0, by: 0.25 }], min: 0.25, max: 5.0 }
  distance: { start: 1.0, step: [{ below: 10.0, by: 0.1 }], min: 0.5, max: 2.0 }`;

const simulators: Record<Kind, string> = {
  reference: `simulator: { kind: reference } # a small built-in climate model: for a first look, and for tests`,
  program: `simulator:
  kind: program
  # It reads $FLEET_INPUT_DIR/parameters.json, and the files of the point that led here in $FLEET_PREVIOUS_DIR; it writes
  # $FLEET_OUTPUT_DIR/result.json: {"stable": true, "temperature": 288.1, "outputs": {"flux": 240.0}}. Files there are kept.
  command: [python3, /opt/model.py]
  sandbox: { kind: local } # or { kind: docker, image: my-model:1.0, memory: 2g, cpus: 1 }`,
  atmos: `simulator:
  kind: atmos # photochemistry, then climate, each point warm-started from the one that led to it
  sandbox: { kind: docker, image: us-docker.pkg.dev/my-project/fleet/pyatmos, memory: 2g, cpus: 1 } # or { kind: local, directory: /code/atmos }`,
};

/** A configuration with a word on everything that one may want to change. */
export function template(kind: Kind): string {
  return `# The search that \`atmos-fleet\` runs. \`atmos-fleet doctor\` checks it, \`atmos-fleet run\` runs its first point here.
name: my-search # prefix of every Redis key and of every artifact path
${kind === 'program' ? plain : air}
search:
  mode: sides # one parameter changes at a time; diagonals: any of them at once
  reach: 1 # steps out, each way, that neighbours of a stable point are proposed at
  maxPoints: null # stop proposing beyond this many
# stable: { temperature: { min: 273.15, max: 373.15 } } # K; narrows the simulator's own verdict
${simulators[kind]}
artifacts: { url: file:./results } # or gs://bucket/prefix; relative paths set out from this file's folder
# No password here: the whole URL may stand in REDIS_URL and DATABASE_URL, or in files that REDIS_URL_FILE and DATABASE_URL_FILE name.
redis: { url: redis://127.0.0.1:6379 }
database: { url: sqlite:./atmos-fleet.db, table: parameterspace } # several machines: mysql://user@host:3306/database
lease: { seconds: 30 } # a worker silent for longer has died; its points go to others
run: { timeoutSeconds: 43200, attempts: 3, losses: 5 } # attempts: of the program; losses: of its workers, in a row
`;
}

export function initCommand(cli: Argv): Argv {
  return cli.command(
    'init [file]',
    'write a commented configuration to begin with',
    (yargs) =>
      yargs
        .positional('file', { type: 'string', default: 'atmos-fleet.yaml', describe: 'where; what is there is kept' })
        .option('for', { choices: kinds, default: 'reference' as const, describe: 'what runs the points' })
        .example('$0 init --for program', 'a program or container of your own'),
    ({ file, for: kind }) => {
      try {
        writeFileSync(file, template(kind), { flag: 'wx' });
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        throw new UsageError(code === 'EEXIST' ? `${file} is there already` : `${file} cannot be written (${code})`);
      }
      say(`${file} is written. Next: edit it, then \`atmos-fleet doctor --config ${file}\``);
    },
  );
}
