import type { Readable } from 'node:stream';
import Docker from 'dockerode';
import { MachineFault, messageOf, Unstorable } from '../../support/errors.js';
import { inTime } from '../../support/patience.js';

/** Longest time that the engine may take to answer, s. */
const deadlineSeconds = 60;

/** Longest silence in the middle of a copy, and of a pull, s. */
export const copySilenceSeconds = 60;
export const pullSilenceSeconds = 300;

/** The engine that `DOCKER_HOST` names, by Docker's own variables, or the one on this machine. */
export function connect(): Docker {
  try {
    return new Docker();
  } catch (error) {
    throw new MachineFault(`Docker cannot be reached as DOCKER_HOST and DOCKER_CERT_PATH say: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Asks the engine something. Throws `MachineFault` when it refuses, cannot be reached, or does not answer in time. */
export async function ask<T>(doing: string, question: () => Promise<T>): Promise<T> {
  const late = () => new Error(`no answer within ${deadlineSeconds} s`);
  try {
    return await inTime(question(), deadlineSeconds * 1000, late);
  } catch (error) {
    throw engineFault(doing, error);
  }
}

/** As `ask`, but undefined where the engine says that there is no such thing. */
export async function askFor<T>(doing: string, question: () => Promise<T>): Promise<T | undefined> {
  return ask(doing, () =>
    question().catch((error) => {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }),
  );
}

/** Reads what the engine sends. Throws `MachineFault` where it breaks off, cannot be read, or nothing comes for too long. */
export async function readAll<T>(
  doing: string,
  stream: Readable,
  silenceSeconds: number,
  read: (stream: Readable) => Promise<T>,
): Promise<T> {
  const silent = () => stream.destroy(new Error(`nothing came for ${silenceSeconds} s`));
  const silence = setTimeout(silent, silenceSeconds * 1000);
  stream.on('data', () => silence.refresh());
  try {
    return await read(stream);
  } catch (error) {
    throw engineFault(doing, stream.errored ?? error);
  } finally {
    clearTimeout(silence);
  }
}

export function engineFault(doing: string, error: unknown): MachineFault | Unstorable {
  if (error instanceof MachineFault || error instanceof Unstorable) return error;
  return new MachineFault(sentence(doing, error), { cause: error });
}

function sentence(doing: string, error: unknown): string {
  const { code, address } = error as NodeJS.ErrnoException & { address?: string };
  const where = process.env.DOCKER_HOST ?? address ?? 'its usual socket';
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EHOSTUNREACH':
    case 'ETIMEDOUT':
      return `No Docker engine answers at ${where} (${code}): start Docker, or set DOCKER_HOST`;
    case 'EACCES':
      return `This user may not use the Docker engine at ${where}: add it to the group docker, or set DOCKER_HOST`;
    default:
      return `Docker failed while ${doing}: ${reasonOf(error)}`;
  }
}

/** The engine's own words, without the wrapping that the client gives them. */
function reasonOf(error: unknown): string {
  const { json } = error as { json?: { message?: unknown } };
  return typeof json?.message === 'string' ? json.message : messageOf(error);
}

function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number }).statusCode;
}
