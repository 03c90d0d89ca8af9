import { UsageError } from '../support/errors.js';
import { FolderStore, runsInFolder } from './folder.js';
import type { ArtifactStore, StoredRun } from './store.js';

type Place = { kind: 'folder'; folder: string } | { kind: 'bucket'; bucket: string; prefix: string };

/** The store that a URL names, for the search of that name: `file:./results`, `gs://bucket/prefix`. */
export async function createArtifactStore(url: string, name: string): Promise<ArtifactStore> {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) throw new UsageError(`name: '${name}' cannot be part of a path`);
  const place = placeOf(url);
  if (place.kind === 'folder') return new FolderStore(place.folder, name);
  const { BucketStore } = await import('./bucket.js'); // costly to load, and rarely wanted
  return new BucketStore(place.bucket, place.prefix, name);
}

/** The runs stored below a prefix, a store's URL alone or with the name of the search; of other searches only that they are there. */
export async function* storedRuns(prefix: string, name: string): AsyncGenerator<StoredRun> {
  const place = placeOf(prefix);
  if (place.kind === 'folder') return yield* runsInFolder(place.folder, name);
  const { runsInBucket } = await import('./bucket.js');
  yield* runsInBucket(place.bucket, place.prefix, name);
}

function placeOf(url: string): Place {
  const [, folder] = /^file:(?:\/\/(?=\/))?(.+)$/.exec(url) ?? [];
  if (folder !== undefined) return { kind: 'folder', folder };
  const [, bucket, prefix = ''] = /^gs:\/\/([a-z0-9][a-z0-9._-]+)(?:\/(.*))?$/.exec(url) ?? [];
  if (bucket !== undefined) return { kind: 'bucket', bucket, prefix: prefix.replace(/^\/+|\/+$/g, '') };
  throw new UsageError(`artifacts.url: found '${url}', wants file:<folder> or gs://<bucket>/<prefix>`);
}
