import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { FileKind } from '../sandbox.js';
import type { Candidate, Place } from '../startable.js';
import { firstFile } from './archive.js';
import { askFor, copySilenceSeconds, readAll } from './engine.js';

/** What stands at a path of a container, as the engine sees it: nothing is run inside. */
interface Seen {
  kind: FileKind;
  /** Whether anybody may execute it. */
  isExecutable: boolean;
  /** Where a link leads to in the end; empty where it is none. */
  target: string;
}

/** The types of files among the bits of Go's `os.FileMode`. */
const kindBits: [number, FileKind][] = [
  [1 << 31, 'directory'],
  [1 << 27, 'symbolic link'],
  [1 << 26, 'device'],
  [1 << 25, 'named pipe'],
  [1 << 24, 'socket'],
];
const executableBits = 0o111;

/** Looks at a path, a link itself and not what it leads to. Undefined: nothing is there. */
export async function lookInside(container: Docker.Container, path: string): Promise<Seen | undefined> {
  const answer = await askFor('looking for a file in a container', () => container.infoArchive({ path }));
  if (!answer) return undefined;
  const { headers } = (answer as IncomingMessage).resume(); // an unread answer would hold its connection
  const header = String(headers['x-docker-container-path-stat']);
  const { mode, linkTarget } = JSON.parse(Buffer.from(header, 'base64').toString());
  const [, kind = 'regular file'] = kindBits.find(([bit]) => (mode & bit) !== 0) ?? [];
  return { kind, isExecutable: (mode & executableBits) !== 0, target: linkTarget };
}

/** Where programs are looked for in a container, running or not. */
export function placeIn(container: Docker.Container, image: string, path: string, directory: string): Place {
  return {
    path,
    directory,
    where: `the image ${image}`,
    look: (file) => candidateIn(container, file),
    firstBytes: async (file, count) =>
      (await copiedOut(container, file, (archive) => firstFile(archive, count))) ?? Buffer.alloc(0),
  };
}

/** What is read of a path's archive; undefined where there is no such path. */
export async function copiedOut<T>(
  container: Docker.Container,
  path: string,
  read: (archive: Readable) => Promise<T>,
): Promise<T | undefined> {
  const doing = 'copying files out of a container';
  const archive = await askFor(doing, () => container.getArchive({ path }));
  return archive && readAll(doing, archive as Readable, copySilenceSeconds, read);
}

/** As `lookInside`, links followed. */
async function candidateIn(container: Docker.Container, path: string): Promise<Candidate | undefined> {
  const seen = await lookInside(container, path);
  const file = seen?.kind === 'symbolic link' ? await lookInside(container, seen.target || path) : seen;
  return file && { isFile: file.kind === 'regular file', isExecutable: file.isExecutable };
}
