import { z } from 'zod';

const sizeUnits: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** A size in bytes, written as Docker writes them: `512m`, `2g`. */
const size = z
  .string('a size such as 512m or 2g')
  .regex(/^[1-9]\d*[kmg]?$/i, 'a size such as 512m or 2g')
  .transform((text) => Number.parseInt(text, 10) * (sizeUnits[text.slice(-1).toLowerCase()] ?? 1));

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
});

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
  sandbox: z.discriminatedUnion('kind', [local, docker], { error: 'one of the kinds docker, local' }),
});

const atmos = z.strictObject({
  kind: z.literal('atmos'),
  sandbox: z.discriminatedUnion('kind', [local.extend({ directory }), docker.extend({ directory })], {
    error: 'one of the kinds docker, local',
  }),
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
