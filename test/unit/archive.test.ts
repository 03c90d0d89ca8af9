import { once } from 'node:events';
import { mkdir, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { wholeFiles } from '../../src/sandboxes/docker/archive.js';
import { DockerCell } from '../../src/sandboxes/docker/cell.js';
import { copySilenceSeconds } from '../../src/sandboxes/docker/engine.js';
import { MachineFault } from '../../src/support/errors.js';
import { temporaryDirectory } from '../support/directories.js';

vi.mock('node:fs/promises', async (original) => {
  const actual = await original<typeof import('node:fs/promises')>();
  return { ...actual, mkdir: vi.fn(actual.mkdir) };
});

/** What an engine sends for some files. */
function archiveOf(files: Record<string, string>): Readable {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, content);
  archive.finalize();
  return Readable.from(archive);
}

it('an archive gives the files that are wanted, and keeps no others', async () => {
  const files = await wholeFiles(archiveOf({ one: '1', 'two/other': '2', three: '3' }), ['three', 'one', 'two'], 10);
  expect([...files].map(([name, content]) => [name, content.toString()])).toEqual([
    ['one', '1'],
    ['three', '3'],
  ]);
});

/** A cell of an engine that answers as told. */
function cellWith(engine: Partial<Docker.Container>): DockerCell {
  const container = { wait: () => new Promise(() => {}), ...engine } as Docker.Container;
  const options = {
    directory: '/fleet',
    checkout: false,
    clearable: true,
    warm: true,
    entrypoint: [],
    path: '/bin',
    image: 'model',
    memory: 2 ** 26,
    limits: { outputBytes: 2 ** 30, outputFiles: 1000 },
    disk: '/nowhere',
  };
  return new DockerCell(container, new PassThrough(), options);
}

describe.each<[string, (cell: DockerCell, to: string) => Promise<unknown>]>([
  ['directory', (cell, to) => cell.take('output', to)],
  ['file', (cell) => cell.read('output/one')],
])('a copy of a %s out of a container', (_, copyOut) => {
  /** The copy of what an engine begins to send. */
  async function begun() {
    const archive = new PassThrough();
    archive.write((await buffer(archiveOf({ 'output/one': '1'.repeat(5000) }))).subarray(0, 3000));
    const to = await temporaryDirectory();
    return { archive, copy: copyOut(cellWith({ getArchive: async () => archive }), to) };
  }

  it('is a fault of the machine where it breaks off', async () => {
    const { archive, copy } = await begun();
    setImmediate(() => archive.destroy(new Error('aborted')));
    await expect(copy).rejects.toThrow(MachineFault);
    await expect(copy).rejects.toThrow('Docker failed while copying files out of a container: aborted');
  });

  it('is a fault of the machine where nothing more comes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { copy } = await begun();
    const over = expect(copy).rejects.toThrow(/Docker failed while copying files out .*: nothing came for 60 s/);
    await vi.advanceTimersByTimeAsync(copySilenceSeconds * 1000);
    await over;
  });
});

it('a copy of a directory ends where it breaks off before its first file is open', async () => {
  const archive = archiveOf({ 'output/deep/one': '1'.repeat(100_000) });
  vi.mocked(mkdir).mockImplementationOnce(async () => {
    archive.destroy(new Error('aborted'));
    await once(archive, 'close');
    return undefined;
  });
  const to = await temporaryDirectory();
  await expect(cellWith({ getArchive: async () => archive }).take('output', to)).rejects.toThrow(MachineFault);
});

it('a copy into a container that the engine refuses holds no file open', async () => {
  const from = await temporaryDirectory();
  await writeFile(join(from, 'large'), Buffer.alloc(1_000_000));
  const putArchive = async (archive: unknown) => {
    await once(archive as Readable, 'readable');
    throw new Error('refused');
  };
  const put = cellWith({ putArchive } as Partial<Docker.Container>).put({ from, to: '.' });
  await expect(put).rejects.toThrow(MachineFault);
  const open = async () => {
    const descriptors = await readdir('/proc/self/fd');
    const paths = await Promise.all(descriptors.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')));
    return paths.filter((path) => path.startsWith(from));
  };
  await expect.poll(open, { timeout: 20_000 }).toEqual([]);
});
