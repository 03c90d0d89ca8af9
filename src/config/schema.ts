import { z } from 'zod';
import { simulatorSettings } from '../simulators/settings.js';
import { artifactsUrlWanted, databaseUrlProblem, isArtifactsUrl, redisUrlProblem } from './url.js';

/** No timer of Node's may be set for longer than 2^31 ms; this stays below. */
const longestSeconds = 2_000_000;

const number = z.number('a number');

const numberThat = (wanted: string, holds: (value: number) => boolean) => z.number(wanted).refine(holds, wanted);

const whole = (from: number, to: number) =>
  numberThat(
    `a whole number from ${from} to ${to}`,
    (value) => Number.isInteger(value) && value >= from && value <= to,
  );

const seconds = (from: number) =>
  numberThat(`seconds from ${from} to ${longestSeconds}`, (value) => value >= from && value <= longestSeconds);

const bin = z.strictObject({
  below: number,
  by: numberThat('a step of 0 or more', (value) => value >= 0),
});

const stepWanted = 'a number, or a list of bins such as [{ below: 1.0, by: 0.01 }]';
/** `step: 0.01` is short for one bin up to 1.0. */
const step = z.preprocess(
  (value) => (typeof value === 'number' ? [{ below: 1, by: value }] : value),
  z.array(bin, stepWanted).min(1, stepWanted),
);

/** One entry of `parameters`, in the shape of the parameter space's own. */
export const parameterEntry = z.strictObject({
  start: number.optional(),
  filler: z.boolean().optional(),
  step: step.optional(),
  min: number.optional(),
  max: number.optional(),
});

const range = z
  .strictObject({ min: number.optional(), max: number.optional() })
  .refine(({ min, max }) => (min ?? max ?? 0) <= (max ?? min ?? 0), 'a min that is not over max');

/** The URL of a service; what is wrong with it is a sentence of its own. */
const serviceUrl = (problemOf: (url: string) => string | undefined) =>
  z.string().superRefine((url, context) => {
    const message = problemOf(url);
    if (message !== undefined) context.addIssue({ code: 'custom', message, params: { isSentence: true } });
  });

const cloudSqlWanted = 'project:region:instance';

/** The whole configuration file, with every default there is. */
export const configurationFile = z.strictObject({
  /** Prefix of every Redis key and of every artifact path. */
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'a letter or digit, then up to 62 letters, digits, _ . or -'),
  parameters: z.record(z.string(), parameterEntry),
  search: z
    .strictObject({
      mode: z.enum(['sides', 'diagonals']).default('sides'),
      /** Steps out, each way, that neighbours are proposed at. */
      reach: whole(1, 10).default(1),
      /** No point is proposed beyond this many; null: no limit. */
      maxPoints: whole(1, 1_000_000_000_000).nullable().default(null),
    })
    .prefault({}),
  /** A point counts as stable only within these; K and bar. Narrows the simulator's own verdict. */
  stable: z.strictObject({ temperature: range.optional(), pressure: range.optional() }).default({}),
  simulator: simulatorSettings.prefault({ kind: 'reference' }),
  artifacts: z
    .strictObject({ url: z.string().refine(isArtifactsUrl, artifactsUrlWanted).default('file:./results') })
    .prefault({}),
  redis: z.strictObject({ url: serviceUrl(redisUrlProblem).default('redis://127.0.0.1:6379') }).prefault({}),
  database: z
    .strictObject({
      url: serviceUrl(databaseUrlProblem).default('sqlite:./atmos-fleet.db'),
      /** Reached by TLS through Google's connector; without a password in `url`, by IAM. */
      cloudSql: z
        .string(cloudSqlWanted)
        .regex(/^(?:[a-z.-]+:)?[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]+$/, cloudSqlWanted)
        .optional(),
      table: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]{0,55}$/, 'a letter or _, then up to 55 letters, digits or _')
        .default('parameterspace'),
    })
    .prefault({}),
  /** A worker silent for longer has died. */
  lease: z.strictObject({ seconds: seconds(1).default(30) }).prefault({}),
  run: z
    .strictObject({
      timeoutSeconds: seconds(0.001).default(43_200),
      /** Runs of the program that may fail before its point is an error. */
      attempts: whole(1, 1000).default(3),
      /** Workers in a row that may vanish with a point before it is quarantined. */
      losses: whole(1, 1000).default(5),
    })
    .prefault({}),
});
