import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MachineFault } from '../../src/support/errors.js';
import { OwnFolder } from '../../src/support/ownFolder.js';
import { temporaryDirectory } from '../support/directories.js';

const module = JSON.stringify(new URL('../../src/support/ownFolder.js', import.meta.url).href);
/** As root in the namespace, so that it works for every user who may make one. */
const apart = ['--user', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'];

function ownFolder(parent: string): OwnFolder {
  const folder = new OwnFolder(parent, 'test-');
  onTestFinished(() => folder.remove());
  return folder;
}

/** A process in a namespace of its own, which has a folder, and looks for those of ended ones at each line it reads. */
function ownerApart(parent: string): { child: ChildProcess; look: () => Promise<void> } {
  const script = `
    import { createInterface } from 'node:readline';
    import { OwnFolder } from ${module};
    const folder = new OwnFolder(${JSON.stringify(parent)}, 'test-');
    for await (const line of createInterface({ input: process.stdin })) {
      await folder.prepare();
      console.log('looked');
    }`;
  const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', script];
  const child = spawn('unshare', [...apart, ...node], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    child,
    async look() {
      child.stdin.write('look\n');
      await once(child.stdout, 'data');
    },
  };
}

describe('a folder of a process of its own', () => {
  it('is for this user alone, and gone in the end', async () => {
    const parent = await temporaryDirectory();
    const folder = ownFolder(parent);
    const path = await folder.prepare();
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect(await readdir(path)).toEqual(['owner']);
    await folder.remove();
    expect(await readdir(parent)).toEqual([]);
  });

  it('is made again where a cleaner of temporary folders removed it', async () => {
    const folder = ownFolder(await temporaryDirectory());
    const before = await folder.path();
    await rm(before, { recursive: true });
    const after = await folder.path();
    expect(after).not.toBe(before);
    expect(await readdir(after)).toEqual(['owner']);
  });

  it('blames the machine where it cannot be made', async () => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    await expect(ownFolder(join(file, 'parent')).path()).rejects.toThrow(MachineFault);
  });

  it('outlives the look of a process in another namespace, until its own process ends', async () => {
    const parent = await temporaryDirectory();
    const [one, two] = [ownerApart(parent), ownerApart(parent)];
    await one.look();
    await two.look();
    await one.look();
    expect(await readdir(parent)).toHaveLength(2);
    // Of a machine that slept for a day, its owners with it.
    const dayAgo = Date.now() / 1000 - 86_401;
    for (const name of await readdir(parent)) await utimes(join(parent, name), dayAgo, dayAgo);
    await two.look();
    expect(await readdir(parent)).toHaveLength(2);
    two.child.kill('SIGKILL');
    await once(two.child, 'close');
    await one.look();
    expect(await readdir(parent)).toHaveLength(1);
    await ownFolder(parent).prepare();
    expect(await readdir(parent)).toHaveLength(2);
  });

  it('leaves links, and what another kernel has made within a day, where they are', async () => {
    const parent = await temporaryDirectory();
    const elsewhere = await temporaryDirectory();
    await symlink(elsewhere, join(parent, 'test-link'));
    const dayAgo = Date.now() / 1000 - 86_401;
    for (const name of ['test-00000000-recent', 'test-00000000-old']) await mkdir(join(parent, name));
    await utimes(join(parent, 'test-00000000-old'), dayAgo, dayAgo);
    await utimes(elsewhere, dayAgo, dayAgo);
    await ownFolder(parent).prepare();
    const left = await readdir(parent);
    expect(left).toHaveLength(3);
    expect(left).toEqual(expect.arrayContaining(['test-link', 'test-00000000-recent']));
  });
});
