import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BucketStore } from '../../src/artifacts/bucket.js';
import { createArtifactStore, storedRuns } from '../../src/artifacts/index.js';
import { metadataFile, parseMetadata, type RunMetadata, writeMetadata } from '../../src/artifacts/metadata.js';
import type { ArtifactStore } from '../../src/artifacts/store.js';
import { MachineFault, Unavailable, Unstorable, UsageError } from '../../src/support/errors.js';
import { BucketServer, refusal } from '../support/bucket-server.js';
import { temporaryDirectory } from '../support/directories.js';

const hash = '0123456789abcdef0123456789abcdef';

const metadata = (token: string): RunMetadata => ({
  version: 1,
  parameters: { O2: 0.21, N2: 0.79 },
  code: '0.21,0.79',
  hash,
  previous_hash: null,
  depth: 0,
  outcome: 'completed',
  stable: true,
  temperature: 288.1,
  pressure: 1.01,
  outputs: { flux_CH4: 1.6e11 },
  message: 'stable, 288.1 K',
  error_kind: null,
  error_message: null,
  attempt: 1,
  token,
  worker: 'worker-1',
  started_at: '2026-01-01T00:00:00.000Z',
  ended_at: '2026-01-01T00:01:00.000Z',
  run_seconds: 60,
  simulator: { sandbox: 'local' },
  program_version: '0.1.0',
});

/** The files of a run, some of them deep, and things that are no files. */
async function filesOfRun(token: string): Promise<string> {
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'deep', 'empty'), { recursive: true });
  await writeFile(join(directory, 'solution'), 'one');
  await writeFile(join(directory, 'deep', 'solution'), 'two');
  await symlink('/etc/passwd', join(directory, 'link'));
  await writeMetadata(directory, metadata(token));
  return directory;
}

async function expectRun(store: ArtifactStore, outPath: string): Promise<void> {
  const fetched = await temporaryDirectory();
  expect(await store.fetch(outPath, fetched)).toBe(true);
  expect(await readFile(join(fetched, 'deep', 'solution'), 'utf8')).toBe('two');
  expect((await readdir(fetched)).sort()).toEqual(['deep', metadataFile, 'solution']);
}

/** A signal that is found aborted after so many looks at it. */
function abortedAfter(checks: number, reason: Error): AbortSignal {
  const controller = new AbortController();
  const { signal } = controller;
  let left = checks;
  signal.throwIfAborted = () => {
    if (left-- <= 0) controller.abort(reason);
    AbortSignal.prototype.throwIfAborted.call(signal);
  };
  return signal;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

vi.setConfig({ testTimeout: 60_000 });

let server: BucketServer;
beforeEach(async () => {
  server = new BucketServer('models');
  vi.stubEnv('STORAGE_EMULATOR_HOST', await server.start());
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
});

const places = [
  { kind: 'folder', root: async () => `file:${await temporaryDirectory()}`, outPathOf: (url: string) => url.slice(5) },
  { kind: 'bucket', root: async () => 'gs://models/some/prefix', outPathOf: (url: string) => url },
];

describe.each(places)('a $kind of artifacts', ({ root, outPathOf }) => {
  const made = async () => {
    const url = await root();
    const store = await createArtifactStore(url, 'earth');
    await store.check();
    return { url, store };
  };

  it('stores a run under name, hash and token, and gives its files back', async () => {
    const { url, store } = await made();
    const outPath = await store.save(await filesOfRun('token-1'), hash, 'token-1');
    expect(outPath).toBe(outPathOf(`${url}/earth/${hash}/token-1`));
    await expectRun(store, outPath);
  });

  it('shows nothing of a run whose storing was aborted, early or late, and ends by the reason', async () => {
    const { store } = await made();
    const directory = await filesOfRun('token-1');
    const outPath = await store.save(directory, hash, 'token-1');
    const reason = new Error('the worker stops');
    for (const checks of [0, 1, 2]) {
      const token = `token-2${checks}`;
      const storing = store.save(directory, hash, token, abortedAfter(checks, reason));
      await expect(storing, `after ${checks} checks`).rejects.toBe(reason);
      expect(await store.fetch(outPath.replace('token-1', token), await temporaryDirectory())).toBe(false);
    }
    const fetching = store.fetch(outPath, await temporaryDirectory(), AbortSignal.abort(reason));
    await expect(fetching).rejects.toBe(reason);
  });

  it('lists the files of a run, as many as asked for, and streams each', async () => {
    const { store } = await made();
    const outPath = await store.save(await filesOfRun('token-1'), hash, 'token-1');
    const files = (await store.list(outPath, 9)) ?? [];
    expect(files.map(({ path }) => path)).toEqual(['deep/solution', metadataFile, 'solution']);
    for (const { path, bytes } of files) {
      const file = await store.open(outPath, path);
      expect([path, file?.bytes, (await buffer(file?.content as Readable)).length]).toEqual([path, bytes, bytes]);
    }
    expect(await store.list(outPath, 2)).toHaveLength(2);
  });

  it('lists and opens nothing beside a run', async () => {
    const { store } = await made();
    const outPath = await store.save(await filesOfRun('token-1'), hash, 'token-1');
    for (const wrong of [`/x/${hash}/token-2`, `/x/${hash}/..`, '/etc', '']) {
      expect(await store.list(wrong, 9), wrong).toBe(undefined);
      expect(await store.open(wrong, 'solution'), wrong).toBe(undefined);
    }
    for (const path of [
      'absent',
      'deep',
      'link',
      '',
      '.',
      '../token-1/solution',
      '/etc/passwd',
      'deep//solution',
      'a\0',
    ]) {
      expect(await store.open(outPath, path), path).toBe(undefined);
    }
  });

  it('stops reading a file when asked to', async () => {
    const { store } = await made();
    const directory = await filesOfRun('token-1');
    await writeFile(join(directory, 'large'), Buffer.alloc(4 * 1024 * 1024));
    const outPath = await store.save(directory, hash, 'token-1');
    const stop = new AbortController();
    const file = await store.open(outPath, 'large', stop.signal);
    await once(file?.content as Readable, 'readable');
    stop.abort();
    await expect(buffer(file?.content as Readable)).rejects.toThrow(/abort/);
  });

  it('may store a run again', async () => {
    const { store } = await made();
    await store.save(await filesOfRun('token-1'), hash, 'token-1');
    await expectRun(store, await store.save(await filesOfRun('token-1'), hash, 'token-1'));
  });

  it('finds its runs after it was moved', async () => {
    const { store } = await made();
    await store.save(await filesOfRun('token-1'), hash, 'token-1');
    await expectRun(store, `/once/elsewhere/${hash}/token-1`);
  });

  it('answers no for a run that is not there, and for a path that names none', async () => {
    const { store } = await made();
    for (const outPath of [`/x/${hash}/token-2`, `/x/${hash}/..`, '/etc', '', `gs://b/${hash}/`]) {
      expect(await store.fetch(outPath, await temporaryDirectory()), outPath).toBe(false);
    }
  });

  it('takes nothing but a hash and a token into a path', async () => {
    const { store } = await made();
    const files = await filesOfRun('token-1');
    await expect(store.save(files, hash, '../token')).rejects.toThrow('not a hash and a token');
    await expect(store.save(files, `../../${hash}`, 'token')).rejects.toThrow('not a hash and a token');
    await expect(createArtifactStore(await root(), '../earth')).rejects.toThrow(UsageError);
  });

  it('lists the metadata of the runs of a search, and tells of others', async () => {
    const { url, store } = await made();
    const outPaths: string[] = [];
    for (const token of ['token-1', 'token-2', 'token-3', 'token-4', 'token-5']) {
      outPaths.push(await store.save(await filesOfRun(token), hash, token));
    }
    const other = await createArtifactStore(url, 'earth2');
    const foreign = { outPath: await other.save(await filesOfRun('token-6'), hash, 'token-6'), foreign: true };
    const byPath = (one: { outPath: string }, two: { outPath: string }) => (one.outPath < two.outPath ? -1 : 1);
    const runs = (await all(storedRuns(`${url}/earth`, 'earth'))).sort(byPath);
    expect(runs.map(({ outPath }) => outPath)).toEqual(outPaths);
    expect(runs).toContainEqual({ outPath: outPaths[0], metadata: metadata('token-1') });
    const asked: string[] = [];
    server.disturb = (_, { pathname }) => void asked.push(decodeURIComponent(pathname));
    expect((await all(storedRuns(url, 'earth'))).sort(byPath)).toEqual([...runs, foreign].sort(byPath));
    expect(asked.filter((path) => path.includes('token-6'))).toEqual([]);
  });
});

describe('the metadata of a run', () => {
  it('has no integer among its measures, for a program that reads them', async () => {
    const directory = await temporaryDirectory();
    const whole = { parameters: { a: 2, b: 2.5e19 }, temperature: 288, pressure: 1, outputs: { 'a "name': -3 } };
    const message = 'a line\n    "a": 2';
    await writeMetadata(directory, { ...metadata('token-1'), ...whole, message });
    const text = await readFile(join(directory, metadataFile), 'utf8');
    expect(text).toMatch(/"a": 2\.0,\n {4}"b": 25000000000000000000\.0\n.*"a \\"name": -3\.0\n/s);
    expect(text).toMatch(/"temperature": 288\.0,\n {2}"pressure": 1\.0,/);
    expect(text).toContain('"version": 1,');
    expect(parseMetadata(text)).toEqual({ ...metadata('token-1'), ...whole, message });
  });

  it('is written where a program left a directory of that name', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, metadataFile, 'inside'), { recursive: true });
    await writeMetadata(directory, metadata('token-1'));
    expect(parseMetadata(await readFile(join(directory, metadataFile), 'utf8'))).toEqual(metadata('token-1'));
  });
});

describe('the place of artifacts', () => {
  it('is a folder or a bucket', async () => {
    for (const url of ['s3://bucket', 'results', 'gs://', 'gs://UPPER', 'file:']) {
      await expect(createArtifactStore(url, 'earth'), url).rejects.toThrow(UsageError);
    }
  });
});

describe('the folder of artifacts', () => {
  const folder = async () => {
    const root = await temporaryDirectory();
    const store = await createArtifactStore(`file:${root}`, 'earth');
    await store.check();
    return { root, store };
  };

  it('follows no symbolic link in the place of a folder of its own', async () => {
    const { root, store } = await folder();
    const outPath = await store.save(await filesOfRun('token-1'), hash, 'token-1');
    for (const place of [
      join('earth', hash, 'token-1', 'deep'),
      join('earth', hash),
      join('earth', '.incoming'),
      'earth',
    ]) {
      const elsewhere = join(await temporaryDirectory(), 'elsewhere');
      await rename(join(root, place), elsewhere);
      await symlink(elsewhere, join(root, place));
      expect(await store.open(outPath, 'deep/solution'), place).toBe(undefined);
      if (place.endsWith('deep')) continue;
      await expect(store.save(await filesOfRun('token-2'), hash, 'token-2'), place).rejects.toThrow(/without symbolic/);
      if (place.endsWith(hash)) {
        expect(await store.list(outPath, 9)).toBe(undefined);
        expect(await store.fetch(outPath, await temporaryDirectory())).toBe(false);
      } else await expect(store.check(), place).rejects.toThrow(/without symbolic links/);
    }
  });

  it('has no temporary files after a run is stored', async () => {
    const { root, store } = await folder();
    await store.save(await filesOfRun('token-1'), hash, 'token-1');
    const [own] = await readdir(join(root, 'earth', '.incoming'));
    expect(await readdir(join(root, 'earth', '.incoming', String(own)))).toEqual(['owner']);
    await store.close();
    expect(await readdir(join(root, 'earth', '.incoming'))).toEqual([]);
  });

  it('tells of metadata that it cannot read', async () => {
    const { root } = await folder();
    const broken = join(root, 'earth', hash, 'token-2');
    await mkdir(broken, { recursive: true });
    await writeFile(join(broken, metadataFile), '{"version": 1}');
    expect(await all(storedRuns(`file://${root}`, 'earth'))).toEqual([
      { outPath: broken, problem: expect.stringContaining('parameters') },
    ]);
  });

  it('removes what a killed worker left half stored, and only that', async () => {
    const { root, store } = await folder();
    const incoming = join(root, 'earth', '.incoming');
    const module = JSON.stringify(new URL('../../src/artifacts/folder.js', import.meta.url).href);
    const script = `import { FolderStore } from ${module};
      await new FolderStore(${JSON.stringify(root)}, 'earth').check(); console.log('checked'); setInterval(() => {}, 1000)`;
    const worker = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script]);
    await once(worker.stdout, 'data');
    expect(await readdir(incoming)).toHaveLength(2);
    await store.check();
    expect(await readdir(incoming)).toHaveLength(2);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    await store.check();
    expect(await readdir(incoming)).toHaveLength(1);
  });

  it('removes what another host left half stored a day ago, and nothing later', async () => {
    const { root, store } = await folder();
    const incoming = join(root, 'earth', '.incoming');
    for (const name of ['elsewhere.1.2.0', 'elsewhere.1.2.1']) await mkdir(join(incoming, name));
    const dayAgo = Date.now() / 1000 - 86_401;
    await utimes(join(incoming, 'elsewhere.1.2.0'), dayAgo, dayAgo);
    await store.check();
    expect(await readdir(incoming)).toHaveLength(2);
    expect(await readdir(incoming)).toContain('elsewhere.1.2.1');
  });

  it('blames the machine when it cannot write', async () => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    const store = await createArtifactStore(`file:${file}`, 'earth');
    await expect(store.check()).rejects.toThrow(MachineFault);
  });
});

describe('the bucket of artifacts', () => {
  const bucket = (patienceSeconds = 2) => new BucketStore('models', '', 'earth', patienceSeconds);

  /** Answers the first requests as told, then no more. */
  function disturbFirst(count: number, how: ReturnType<BucketServer['disturb']>): void {
    let left = count;
    server.disturb = () => (left-- > 0 ? how : undefined);
  }

  it('keeps names with line ends, and those that look like what they become', async () => {
    const directory = await filesOfRun('token-1');
    const names = ['a\nb', 'a%0Ab', 'a%250Ab', 'a%25', '100%', 'a\rb', 'é'];
    for (const name of names) await writeFile(join(directory, name), name);
    const outPath = await bucket().save(directory, hash, 'token-1');
    const fetched = await temporaryDirectory();
    expect(await bucket().fetch(outPath, fetched)).toBe(true);
    for (const name of names) expect(await readFile(join(fetched, name), 'utf8')).toBe(name);
    const listed = (await bucket().list(outPath, 99))?.map(({ path }) => path);
    expect(listed).toEqual(expect.arrayContaining(names));
  });

  it('says which name it cannot keep', async () => {
    const directory = await filesOfRun('token-1');
    const deep = join(directory, ...Array(4).fill('x'.repeat(250)));
    await mkdir(deep, { recursive: true });
    await writeFile(join(deep, 'file'), '');
    await expect(bucket().save(directory, hash, 'token-1')).rejects.toThrow(Unstorable);
    await expect(bucket().save(directory, hash, 'token-1')).rejects.toThrow('longer than 1024 bytes');
  });

  it('bears a service that fails for a while', async () => {
    disturbFirst(2, refusal(503, 'try again'));
    const outPath = await bucket(20).save(await filesOfRun('token-1'), hash, 'token-1');
    disturbFirst(1, { cutAfter: 0 });
    await expectRun(bucket(20), outPath);
  });

  it('uploads a large file in pieces, and goes on after an interruption', async () => {
    const directory = await filesOfRun('token-1');
    const large = Buffer.alloc(20 * 1024 * 1024, 'large');
    await writeFile(join(directory, 'large'), large);
    const half = 10 * 1024 * 1024;
    const ranges: string[] = [];
    server.disturb = ({ headers }) => {
      const range = headers['content-range'];
      if (range === undefined || range === 'bytes */*') return undefined;
      return ranges.push(range) === 1 ? { cutAfter: half } : undefined;
    };
    const outPath = await bucket(20).save(directory, hash, 'token-1');
    expect(ranges).toEqual(['bytes 0-*/*', `bytes ${half}-*/*`]);
    expect(server.objects.get(`earth/${hash}/token-1/large`)?.equals(large)).toBe(true);
    expect(await bucket().fetch(outPath, await temporaryDirectory())).toBe(true);
  });

  it('does not count a run as there until all of it is', async () => {
    server.disturb = (_, url) =>
      url.searchParams.get('name')?.endsWith('deep/solution') ? refusal(403, 'not this one') : undefined;
    await expect(bucket().save(await filesOfRun('token-1'), hash, 'token-1')).rejects.toThrow(MachineFault);
    expect([...server.objects.keys()]).toEqual([`earth/${hash}/token-1/solution`]);
    expect(await bucket().fetch(`gs://models/earth/${hash}/token-1`, await temporaryDirectory())).toBe(false);
    expect(await all(storedRuns('gs://models', 'earth'))).toEqual([]);
  });

  it('stores files whose names Cloud Storage does not take', async () => {
    server.disturb = ({ method }, { searchParams }) =>
      method === 'POST' && /[\r\n]/.test(searchParams.get('name') ?? '')
        ? refusal(400, 'Disallowed unicode characters present in object name')
        : undefined;
    const directory = await filesOfRun('token-1');
    await writeFile(join(directory, 'deep', 'two\r\nlines 100%'), 'three');
    await bucket().save(directory, hash, 'token-1');
    expect(server.objects.get(`earth/${hash}/token-1/deep/two%0D%0Alines 100%`)?.toString()).toBe('three');
  });

  it.each([400, 403, 404, 411, 413, 414])(
    'takes a refusal with status %s as lasting, and tries no more',
    async (status) => {
      let asked = 0;
      server.disturb = () => {
        asked++;
        return refusal(status, 'never');
      };
      const directory = await temporaryDirectory();
      await writeMetadata(directory, metadata('token-1'));
      await expect(bucket(20).save(directory, hash, 'token-1')).rejects.toThrow(MachineFault);
      await writeFile(join(directory, 'large'), Buffer.alloc(10 * 1024 * 1024));
      await expect(bucket(20).save(directory, hash, 'token-1')).rejects.toThrow(MachineFault);
      await expect(bucket(20).fetch(`gs://models/earth/${hash}/token-1`, directory)).rejects.toThrow(MachineFault);
      expect(asked).toBe(3);
    },
  );

  it.each([408, 409, 410, 412, 429, 500])('takes a refusal with status %s as passing', async (status) => {
    server.disturb = () => refusal(status, 'not now');
    await expect(bucket(0).save(await filesOfRun('token-1'), hash, 'token-1')).rejects.toThrow(Unavailable);
  });

  it('is content with rights in its own folder alone, and leaves nothing there', async () => {
    server.permissions = [];
    server.ownFolder = 'earth/';
    await bucket().check();
    expect([...server.objects.keys()]).toEqual([]);
    await expectRun(bucket(), await bucket().save(await filesOfRun('token-1'), hash, 'token-1'));
    server.ownFolder = 'earth2/';
    await expect(bucket().check()).rejects.toThrow(MachineFault);
  });

  it('says what is at fault: the account, the name, or the service', async () => {
    server.permissions = ['storage.objects.get'];
    await expect(bucket().check()).rejects.toThrow(
      "This machine's account lacks storage.objects.create, storage.objects.list, storage.objects.delete in gs://models",
    );
    await expect(new BucketStore('other', '', 'earth').check()).rejects.toThrow(/bucket other does not exist/);
    await expect(new BucketStore('other', '', 'earth').check()).rejects.toThrow(MachineFault);
    server.disturb = () => refusal(503, 'try again');
    await expect(bucket().check()).rejects.toThrow(Unavailable);
  });
});
