import { UsageError } from '../support/errors.js';
import { FolderStore, runsInFolder } from './folder.js';
import type { ArtifactStore, StoredRun } from './store.js';

/** The store that a URL names, for one search: `file:./results`. */
export function createArtifactStore(url: string, name: string): ArtifactStore {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) throw new UsageError(`name: '${name}' cannot be part of a path`);
  return new FolderStore(folderOf(url), name);
}

/** The runs stored below a prefix: a store's URL, alone or with the name of a search. */
export function storedRuns(prefix: string): AsyncIterable<StoredRun> {
  return runsInFolder(folderOf(prefix));
}

function folderOf(url: string): string {
  const folder = /^file:(?:\/\/(?=\/))?(.+)$/.exec(url)?.[1];
  if (folder === undefined)
    throw new UsageError(`artifacts.url: found '${url}', wants file:<folder> or gs://<bucket>/<prefix>`);
  return folder;
}
