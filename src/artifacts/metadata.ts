import { join } from 'node:path';
import { z } from 'zod';
import { onDisk, writeInstead } from '../support/files.js';

/** The file that tells of a run; stored last, so a run that has it is there whole. */
export const metadataFile = 'run_metadata.json';

const number = z.number();
const time = z.iso.datetime();

const metadataSchema = z.object({
  version: z.literal(1),
  /** The mark of the table's incarnation that the run was for, and what defined its search. Absent in version 0.1. */
  incarnation: z
    .string()
    .regex(/^[0-9a-f]{8}$/)
    .optional(),
  definition: z.record(z.string(), z.string()).optional(),
  parameters: z.record(z.string(), number),
  code: z.string(),
  hash: z.string().regex(/^[0-9a-f]{32}$/),
  previous_hash: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .nullable(),
  depth: z.int().nonnegative(),
  outcome: z.enum(['completed', 'error']),
  stable: z.boolean().nullable(),
  /** K. */
  temperature: number.nullable(),
  /** bar. */
  pressure: number.nullable(),
  outputs: z.record(z.string(), number),
  message: z.string().nullable(),
  error_kind: z.enum(['program', 'timeout', 'poison']).nullable(),
  error_message: z.string().nullable(),
  /** Which try of the point this was, from 1. */
  attempt: z.int().positive(),
  token: z.string(),
  worker: z.string(),
  started_at: time,
  ended_at: time,
  /** The simulator's own time, s. */
  run_seconds: number.nonnegative(),
  /** Facts of the simulator, e.g. the image's digest. */
  simulator: z.record(z.string(), z.string()),
  /** Version of this program. */
  program_version: z.string(),
});

/** What `run_metadata.json` holds: enough to rebuild the point's row. */
export type RunMetadata = z.output<typeof metadataSchema>;

/** Writes the metadata beside the files of a run, the last of them. */
export async function writeMetadata(directory: string, metadata: RunMetadata): Promise<void> {
  const text = `${withFractions(JSON.stringify(metadataSchema.parse(metadata), null, 2))}\n`;
  await onDisk('writing the metadata of a run', () => writeInstead(join(directory, metadataFile), text));
}

/** Lines with a whole number that stands for a measure, so that a program which reads them gets no integer. */
const wholeMeasure = /^(?: {4}"(?:[^"\\]|\\.)*"| {2}"(?:temperature|pressure|run_seconds)"): -?\d+(?=,?$)/gm;

function withFractions(json: string): string {
  return json.replaceAll(wholeMeasure, '$&.0');
}

/** Reads metadata back. Throws an error that says what is wrong with it. */
export function parseMetadata(text: string): RunMetadata {
  const checked = metadataSchema.safeParse(JSON.parse(text));
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw new Error(`${issue?.path.join('.') || 'the whole'}: ${issue?.message}`);
}
