import { z } from 'zod';

const docker = z.strictObject({
  kind: z.literal('docker'),
  image: z.string('an image name').min(1, 'an image name'),
  pull: z.enum(['missing', 'always', 'never']).default('missing'),
  /** Docker's own notation, e.g. `512m`, `2g`. */
  memory: z
    .string()
    .regex(/^\d+[bkmg]?$/i, 'a size such as 512m or 2g')
    .default('2g'),
  cpus: z.number().positive('a number over 0').default(1),
  pids: z.int('a whole number from 1').min(1, 'a whole number from 1').default(256),
});

const local = z.strictObject({ kind: z.literal('local') });

const sandbox = z.discriminatedUnion('kind', [docker, local]);

/** The `simulator` block of the configuration. */
export const simulatorSettings = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('reference') }),
  z.strictObject({
    kind: z.literal('program'),
    command: z.array(z.string()).min(1, 'a program and its arguments'),
    sandbox,
  }),
  z.strictObject({ kind: z.literal('atmos'), sandbox }),
]);

export type SimulatorSettings = z.output<typeof simulatorSettings>;
