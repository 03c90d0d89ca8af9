import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf, UsageError } from '../support/errors.js';

const markName = '.atmos-fleet-demo';

/**
 * Empties or makes the folder of a demo; answers its real path. Only an empty folder, or one that an earlier demo marked as its
 * own at that very place, is touched, and neither the current directory nor one above it, whatever name leads there.
 */
export function replaceDemoFolder(directory: string, config: string, beforeEmptying: (folder: string) => void): string {
  const refuse = (why: string) => new UsageError(`--directory: ${directory} ${why}`);
  try {
    mkdirSync(directory, { recursive: true });
    const folder = realpathSync(directory);
    if (isWithin(process.cwd(), folder)) throw refuse('is the current directory, or above it: name another');
    if (isWithin(realpathSync(config), folder)) {
      throw refuse(`is to be replaced, and --config ${config} is in it: copy the file elsewhere`);
    }
    const mark = join(folder, markName);
    const found = readdirSync(folder);
    if (found.length > 0) {
      if (!isMarked(mark, folder))
        throw refuse('was not made by a demo there: name another folder, or remove it yourself');
      beforeEmptying(folder);
    }
    writeFileSync(mark, markOf(folder));
    for (const name of found) if (name !== markName) rmSync(join(folder, name), { recursive: true, force: true });
    return folder;
  } catch (error) {
    throw error instanceof UsageError ? error : refuse(`cannot be used: ${messageOf(error)}`);
  }
}

/** The place is part of it: a copy of a demo's folder is somebody's own. */
function markOf(folder: string): string {
  return `atmos-fleet demo made this folder, and replaces all that is in it when it is started again.\n${folder}\n`;
}

function isMarked(mark: string, folder: string): boolean {
  const found = lstatSync(mark, { throwIfNoEntry: false });
  return found?.isFile() === true && readFileSync(mark, 'utf8') === markOf(folder);
}

/** Whether a path is that folder or below it, by whatever name: compared are the files, not their names. */
function isWithin(path: string, folder: string): boolean {
  const [here, sought] = [statSync(path), statSync(folder)];
  if (here.ino === sought.ino && here.dev === sought.dev) return true;
  return path !== dirname(path) && isWithin(dirname(path), folder);
}
