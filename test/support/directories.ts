import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A directory that goes when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'atmos-fleet-test-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** An attempt's directories, as a worker makes them. */
export async function attemptDirectories(): Promise<{ input: string; output: string; previous: string }> {
  const root = await temporaryDirectory();
  const directories = { input: join(root, 'input'), output: join(root, 'output'), previous: join(root, 'previous') };
  for (const directory of Object.values(directories)) await mkdir(directory);
  return directories;
}
