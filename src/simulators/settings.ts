import { z } from 'zod';

const sizeUnits: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** A size in bytes, written as Docker writes them: `512m`, `2g`. */
const size = z
  .string('a size such as 512m or 2g')
  .regex(/^[1-9]\d*[kmg]?$/i, 'a size such as 512m or 2g')
  .transform((text) => Number.parseInt(text, 10) * (sizeUnits[text.slice(-1).toLowerCase()] ?? 1));

const noNul = z.string('a text').regex(/^[^\0]*$/, 'a text without NUL');
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Set for each run, or the fleet's own: its secrets stand in some of them. */
const reservedName = /^(?:FLEET_.*|ATMOS_FLEET_.*|(?:REDIS|DATABASE)_URL(?:_FILE)?|GOOGLE_APPLICATION_CREDENTIALS)$/;
const variableWanted =
  "a variable's name, none of the fleet's own (FLEET_*, ATMOS_FLEET_*, REDIS_URL, DATABASE_URL, their _FILE forms, GOOGLE_APPLICATION_CREDENTIALS)";

const isVariable = (name: string) => variableName.test(name) && !reservedName.test(name);

/** Variables for the simulator's programs, by name. */
const env = z
  .record(
    z.string(),
    z.union([noNul, z.number(), z.boolean()], { error: 'a text, a number, true or false' }).transform(String),
  )
  .superRefine((variables, context) => {
    for (const name of Object.keys(variables).filter((name) => !isVariable(name))) {
      context.addIssue({ code: 'custom', path: [name], input: name, message: variableWanted });
    }
  })
  .default({});

const absolutePath = z.string('an absolute path').regex(/^\/[^\0]*$/, 'an absolute path');

/** What a run may leave, in either sandbox. */
const output = {
  /** Most bytes of all files together, as their sizes say: holes count. */
  outputBytes: size.prefault('1g'),
  /** Most files and directories. */
  outputFiles: z.int('a whole number from 1').min(1, 'a whole number from 1').default(10_000),
};

const user = z
  .string('a numeric uid or uid:gid, in quotes')
  .regex(/^\d+(:\d+)?$/, 'a numeric uid or uid:gid')
  .optional();

const local = z.strictObject({
  kind: z.literal('local'),
  /** Where runs get their directories; the system's temporary folder by default. */
  scratch: absolutePath.optional(),
  /** `uid` or `uid:gid` that programs run as, where root started the worker; the worker's own by default. */
  user,
  ...output,
  /** Variables of the worker that programs get too, where they are set. */
  passEnvironment: z
    .array(z.string(variableWanted).refine(isVariable, variableWanted), 'a list of names of variables')
    .default([]),
});

const docker = z.strictObject({
  kind: z.literal('docker'),
  image: z.string('an image name').min(1, 'an image name'),
  pull: z.enum(['missing', 'always', 'never'], 'missing, always or never').default('missing'),
  /** Most memory of a container, files in its scratch space included. */
  memory: size.prefault('2g'),
  /** Most processors of a container; a fraction is allowed. */
  cpus: z.number('a number over 0').positive('a number over 0').default(1),
  /** Most processes and threads of a container. */
  pids: z.int('a whole number from 8').min(8, 'a whole number from 8').default(256),
  /** Most space for a run's files. */
  scratch: size.prefault('512m'),
  /** `uid` or `uid:gid`; by default the image's own user, or nobody where that is root and nothing needs root. */
  user,
  ...output,
  /** Whether a slot keeps its container from one run to the next. */
  warm: z.boolean().default(true),
  /** Whether the image's entry point runs the commands, as `docker run` would have it. */
  entrypoint: z.enum(['keep', 'clear'], 'keep or clear').default('keep'),
});

/** Where a program starts: its run's own empty directory, the image's own, or another of the image. */
const workdir = z
  .union([z.literal('image'), absolutePath], { error: 'image, or an absolute path in the image' })
  .optional();

/** Where Atmos lies: in the image, or on this machine. */
const directory = absolutePath.default('/code/atmos');

const argv = z
  .array(z.string('a word').regex(/^[^\0]*$/, 'a word without NUL'), 'a list: a program and its arguments')
  .nonempty('a program and its arguments, e.g. [python3, /opt/model.py]')
  .refine(([program]) => program !== '', 'a program first');

const reference = z.strictObject({
  kind: z.literal('reference'),
  /** How long each run lasts, ms: a fleet's behaviour with long runs, without a long model. */
  delayMs: z.int('a whole number of ms').min(0, 'a number of ms from 0').max(86_400_000, 'at most a day').optional(),
});

const program = z.strictObject({
  kind: z.literal('program'),
  command: argv,
  env,
  sandbox: z.discriminatedUnion('kind', [local, docker.extend({ workdir })], {
    error: 'one of the kinds docker, local',
  }),
});

const atmos = z.strictObject({
  kind: z.literal('atmos'),
  sandbox: z.discriminatedUnion('kind', [local.extend({ directory }), docker.extend({ directory })], {
    error: 'one of the kinds docker, local',
  }),
  env,
  photochem: argv.default(['./Photo.run']),
  clima: argv.default(['./Clima.run']),
  /** Steps that the climate program makes. */
  climaSteps: z.int('a whole number from 2').min(2, 'a whole number from 2').default(400),
});

/** The configuration's `simulator` block. */
export const simulatorSettings = z.discriminatedUnion('kind', [reference, program, atmos], {
  error: 'one of the kinds reference, atmos, program',
});

export type SimulatorSettings = z.output<typeof simulatorSettings>;
export type ProgramSettings = z.output<typeof program>;
export type AtmosSettings = z.output<typeof atmos>;
export type SandboxSettings = ProgramSettings['sandbox'] | AtmosSettings['sandbox'];
export type DockerSettings = Extract<SandboxSettings, { kind: 'docker' }>;
