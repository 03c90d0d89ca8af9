import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createArtifactStore, storedRuns } from '../../src/artifacts/index.js';
import { metadataFile, type RunMetadata, writeMetadata } from '../../src/artifacts/metadata.js';
import type { ArtifactStore } from '../../src/artifacts/store.js';
import { MachineFault, UsageError } from '../../src/support/errors.js';
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

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe('the folder of artifacts', () => {
  const folder = async () => {
    const root = await temporaryDirectory();
    const store = createArtifactStore(`file:${root}`, 'earth');
    await store.check();
    return { root, store };
  };

  it('stores a run under name, hash and token, and gives its files back', async () => {
    const { root, store } = await folder();
    const outPath = await store.save(await filesOfRun('token-1'), hash, 'token-1');
    expect(outPath).toBe(join(root, 'earth', hash, 'token-1'));
    await expectRun(store, outPath);
  });

  it('may store a run again, and has no temporary files after', async () => {
    const { root, store } = await folder();
    await store.save(await filesOfRun('token-1'), hash, 'token-1');
    await expectRun(store, await store.save(await filesOfRun('token-1'), hash, 'token-1'));
    expect(await readdir(join(root, 'earth', '.incoming'))).toEqual([]);
  });

  it('finds its runs after it was moved', async () => {
    const { store } = await folder();
    await store.save(await filesOfRun('token-1'), hash, 'token-1');
    await expectRun(store, `/once/elsewhere/${hash}/token-1`);
  });

  it('answers no for a run that is not there, and for a path that names none', async () => {
    const { store } = await folder();
    for (const outPath of [`/x/${hash}/token-2`, `/x/${hash}/..`, '/etc', '', `gs://b/${hash}/`]) {
      expect(await store.fetch(outPath, await temporaryDirectory()), outPath).toBe(false);
    }
  });

  it('takes nothing but a hash and a token into a path', async () => {
    const { store } = await folder();
    const files = await filesOfRun('token-1');
    expect(() => store.save(files, hash, '../token')).toThrow('not a hash and a token');
    expect(() => store.save(files, `../../${hash}`, 'token')).toThrow('not a hash and a token');
    expect(() => createArtifactStore('file:x', '../earth')).toThrow(UsageError);
    expect(() => createArtifactStore('s3://bucket', 'earth')).toThrow(UsageError);
  });

  it('lists the metadata of all runs below a prefix, and what it cannot read', async () => {
    const { root, store } = await folder();
    const outPath = await store.save(await filesOfRun('token-1'), hash, 'token-1');
    const broken = join(root, 'earth', hash, 'token-2');
    await mkdir(broken);
    await writeFile(join(broken, metadataFile), '{"version": 1}');
    for (const prefix of [`file:${root}`, `file:${root}/earth`, `file://${root}/earth`]) {
      const runs = (await all(storedRuns(prefix))).sort((a, b) => a.outPath.localeCompare(b.outPath));
      expect(runs).toEqual([
        { outPath, metadata: metadata('token-1') },
        { outPath: broken, problem: expect.stringContaining('parameters') },
      ]);
    }
  });

  it('removes what a killed worker left half stored, and only that', async () => {
    const { root, store } = await folder();
    const incoming = join(root, 'earth', '.incoming');
    const owner = new URL('../../src/support/owner.ts', import.meta.url).href;
    const script = `import { thisProcess } from ${JSON.stringify(owner)}; console.log(thisProcess); setInterval(() => {}, 1000)`;
    const worker = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script]);
    const [name] = await once(worker.stdout, 'data');
    const left = join(incoming, `${String(name).trim()}.0`);
    await mkdir(left);
    await store.check();
    expect(await readdir(incoming)).toHaveLength(1);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    await store.check();
    expect(await readdir(incoming)).toEqual([]);
  });

  it('blames the machine when it cannot write', async () => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    await expect(createArtifactStore(`file:${file}`, 'earth').check()).rejects.toThrow(MachineFault);
  });
});
