import type { IncomingMessage } from 'node:http';
import type Docker from 'dockerode';
import type { FileKind } from '../sandbox.js';
import { askFor } from './engine.js';

/** What stands at a path of a container, as the engine sees it: nothing is run inside. */
export interface Seen {
  kind: FileKind;
  /** The nine bits of its rights. */
  rights: number;
  /** Where a link leads to, whole, however many links are between; empty where it is none. */
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
const rightsBits = 0o777;

/** Looks at a path, a link itself and not what it leads to. Undefined: nothing is there. */
export async function lookInside(container: Docker.Container, path: string): Promise<Seen | undefined> {
  const answer = await askFor('looking for a file in a container', () => container.infoArchive({ path }));
  if (!answer) return undefined;
  const { headers } = (answer as IncomingMessage).resume(); // an unread answer would hold its connection
  const header = String(headers['x-docker-container-path-stat']);
  const { mode, linkTarget } = JSON.parse(Buffer.from(header, 'base64').toString());
  const [, kind = 'regular file'] = kindBits.find(([bit]) => (mode & bit) !== 0) ?? [];
  return { kind, rights: mode & rightsBits, target: linkTarget };
}
