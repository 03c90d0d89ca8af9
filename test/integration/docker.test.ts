import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type DockerOptions, DockerSandbox, ownerLabel } from '../../src/sandboxes/docker/sandbox.js';
import type { Cell, Execution } from '../../src/sandboxes/sandbox.js';
import { createSimulator } from '../../src/simulators/index.js';
import { simulatorSettings } from '../../src/simulators/settings.js';
import { MachineFault } from '../../src/support/errors.js';
import { thisProcess } from '../../src/support/owner.js';
import { certificates } from '../support/certificates.js';
import { temporaryDirectory } from '../support/directories.js';
import { busyboxImage, containersOf, dockerEngine, imageWith, importImage, programFiles } from '../support/docker.js';
import { EngineProxy } from '../support/engineProxy.js';
import { registryWith } from '../support/registry.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

let engine: Docker;
let image: string;
beforeAll(async () => {
  engine = await dockerEngine();
  image = await busyboxImage();
});

const mebibyte = 2 ** 20;

function options(given: Partial<DockerOptions> = {}): DockerOptions {
  const limits = {
    memory: 64 * mebibyte,
    cpus: 0.5,
    pids: 32,
    scratch: 8 * mebibyte,
    outputBytes: 2 ** 30,
    outputFiles: 1000,
  };
  return { image, pull: 'never', warm: true, ...limits, ...given };
}

function sandboxWith(given?: Partial<DockerOptions>, note?: (sentence: string) => void): DockerSandbox {
  const sandbox = new DockerSandbox(options(given), undefined, note);
  onTestFinished(() => sandbox.close());
  return sandbox;
}

const run = (cell: Cell, script: string, signal = new AbortController().signal): Promise<Execution> =>
  cell.execute({ argv: ['sh', '-c', script], timeoutSeconds: 60, signal });

async function outputOf(sandbox: DockerSandbox, script: string): Promise<string> {
  const { log } = await sandbox.use(0, (cell) => run(cell, script));
  return log.trim();
}

describe('a container', () => {
  it('has no network, no capabilities, no new privileges, and no root', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    expect(await outputOf(sandbox, 'ls /sys/class/net')).toBe('lo');
    expect(await outputOf(sandbox, 'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status | tr "\\t\\n" "  "')).toBe(
      'CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1',
    );
    expect(await outputOf(sandbox, 'id -u; id -g')).toBe('65534\n65534');
  });

  it('has a root that cannot be written, and bounded places that can', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    expect(await outputOf(sandbox, 'touch /model')).toMatch(/Read-only file system/);
    for (const place of ['.', '/tmp']) {
      const fill = `for n in 1 2 3; do dd if=/dev/zero of=${place}/file-$n bs=1000000 count=4; done`;
      expect(await outputOf(sandbox, fill)).toMatch(/No space left/);
    }
    expect(await outputOf(sandbox, 'cp /bin/busybox $TMPDIR/echo && $TMPDIR/echo runs')).toBe('runs');
    const { status } = await sandbox.use(0, (cell) => run(cell, 'exec head -c 16000000 /dev/zero >file'));
    expect(status).toBe(128 + constants.signals.SIGXFSZ);
  });

  it('has bounded memory, processors and processes', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    const HostConfig = await sandbox.use(0, async () => {
      const [container] = await containersOf();
      return (await engine.getContainer(container?.Id ?? '').inspect()).HostConfig;
    });
    const memory = 64 * mebibyte;
    expect(HostConfig).toMatchObject({ Memory: memory, MemorySwap: memory, NanoCpus: 5e8, PidsLimit: 32 });
    const { status, remark } = await sandbox.use(0, (cell) =>
      cell.execute({
        argv: ['awk', 'BEGIN { for (text = "more"; ; text = text text); }'],
        timeoutSeconds: 60,
        signal: new AbortController().signal,
      }),
    );
    expect({ status, remark }).toEqual({
      status: 137,
      remark: 'killed by signal 9, most likely over its memory limit of 64 MiB',
    });
  });

  it('stays for the next run of its slot, and is replaced after a bad one', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    const idOf = async (work: (cell: Cell) => unknown = () => {}) => {
      const id = await sandbox.use(0, async (cell) => {
        const [{ Id } = { Id: '' }] = await containersOf();
        await work(cell);
        return Id;
      });
      return id;
    };
    const first = await idOf();
    expect(await idOf((cell) => cell.discard())).toBe(first);
    const second = await idOf();
    expect(second).not.toBe(first);
    await expect(sandbox.use(0, async () => Promise.reject(new Error('bad run')))).rejects.toThrow('bad run');
    expect(await idOf((cell) => run(cell, 'setsid sleep 600 >/dev/null 2>&1 &'))).not.toBe(second);
    expect(await idOf()).not.toBe(second);
    expect(await containersOf()).toHaveLength(1);
    await sandbox.close();
    expect(await containersOf()).toEqual([]);
  });

  it('serves one run only where it is not to be kept', async () => {
    const sandbox = sandboxWith({ warm: false });
    await sandbox.prepare();
    await outputOf(sandbox, 'true');
    expect(await containersOf()).toEqual([]);
  });

  it('blames the machine when it is stopped from outside', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    const use = sandbox.use(0, (cell) =>
      cell.execute({
        argv: ['sh', '-c', 'echo started; sleep 600'],
        timeoutSeconds: 60,
        signal: new AbortController().signal,
        stopWhen: () => {
          containersOf().then(([container]) => engine.getContainer(container?.Id ?? '').stop());
          return false;
        },
      }),
    );
    await expect(use).rejects.toThrow(MachineFault);
    await expect(use).rejects.toThrow('stopped from outside');
  });

  it('blames the program that kills its own container', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    const { status, remark } = await sandbox.use(0, (cell) => run(cell, 'kill -9 -1; sleep 600'));
    expect({ status, remark }).toEqual({ status: 137, remark: 'its container ended with it, with status 137' });
    expect(await outputOf(sandbox, 'echo fine')).toBe('fine');
  });
});

describe('what a run leaves', () => {
  const perl = 'atmos-fleet-test/perl:local';
  beforeAll(async () => {
    await imageWith(perl, await programFiles('/usr/bin/perl'));
  });

  /** Everything that a run can see of one before, in a container that nothing has run in: headers, and itself. */
  const look = [
    'cat /proc/sysvipc/*',
    'find / -path "/proc/[0-9]*" -prune -o -name "*trace*" -print 2>/dev/null',
    'ls -lan /fleet /tmp /dev/shm /dev/mqueue | grep -v " \\.\\.$" | cut -c 1-40',
    'ps | grep -c "[s]leep"',
  ].join('; ');

  it.each([
    ['a file in every directory', 'for at in $(find / -type d 2>/dev/null); do touch $at/trace; done', true],
    ['names that are awkward', 'cd /dev/shm; touch -- "-trace" ".trace" "a trace" "trace\n"', true],
    ['a pipe and a link', 'mkfifo /dev/shm/trace; ln -s /bin /tmp/trace', true],
    ['a POSIX semaphore', 'head -c 32 /dev/zero >/dev/shm/sem.trace; chmod 0 /dev/shm/sem.trace', true],
    ['a POSIX message queue', 'touch /dev/mqueue/trace', true],
    [
      'a directory shut to its owner',
      'mkdir -p /tmp/trace/inner; touch /tmp/trace/inner/trace; chmod 0 /tmp/trace',
      false,
    ],
    ['System V shared memory', "perl -e 'shmget(7, 4096, 01600) // die $!'", false],
    ['System V semaphores', "perl -e 'semget(7, 1, 01600) // die $!'", false],
    ['a System V message queue', "perl -e 'msgget(7, 01600) // die $!'", false],
    ['a process', '(setsid env -i /bin/sleep 600 >/dev/null 2>&1 &)', false],
  ])('is gone for the next: %s', async (_, leave, stays) => {
    const sandbox = sandboxWith({ image: perl });
    await sandbox.prepare();
    const seen = () =>
      sandbox.use(0, async (cell) => ({ log: (await run(cell, look)).log, at: (await containersOf())[0]?.Id }));
    const before = await seen();
    await sandbox.use(0, async (cell) => expect(await run(cell, `${leave}; true`)).toMatchObject({ status: 0 }));
    const after = await seen();
    expect(after.log).toBe(before.log);
    expect(after.at === before.at).toBe(stays);
  });

  it('is gone with its container where it cannot be told what that is', async () => {
    const declared = await imageWith(
      'atmos-fleet-test/volume:local',
      [{ name: '/data/given', content: 'given', mode: 0o666 }],
      ['VOLUME /data'],
    );
    const traced = async (sandbox: DockerSandbox, place: string) => {
      await sandbox.prepare();
      for (let use = 0; use < 2; use++)
        expect(await outputOf(sandbox, `ls ${place}; touch ${place}/trace`)).toBe('given');
    };
    await traced(sandboxWith({ image: declared, user: '0' }), '/data');
    const checkout = new DockerSandbox(options({ image: declared, user: '0' }), '/data');
    onTestFinished(() => checkout.close());
    await traced(checkout, '/data');
    const root = sandboxWith({ user: '0' });
    await root.prepare();
    for (let use = 0; use < 2; use++)
      expect(await outputOf(root, 'ls /dev/trace; touch /dev/trace')).toMatch(/No such file/);
  });

  it('takes the volumes of its image with it, and those that an engine forgot', async () => {
    const volumes = async () => (await engine.listVolumes({ filters: { label: [ownerLabel] } })).Volumes;
    const owned = async (owner: string) => (await volumes()).filter(({ Labels }) => Labels[ownerLabel] === owner);
    const declared = await imageWith('atmos-fleet-test/volume:local', [], ['VOLUME /data', 'VOLUME /tmp/']);
    const sandbox = sandboxWith({ image: declared });
    await sandbox.prepare();
    await sandbox.use(0, async () => expect(await owned(thisProcess)).toHaveLength(2));
    await sandbox.close();
    expect(await owned(thisProcess)).toEqual([]);
    const ended = thisProcess.replace(/\d+$/, '1');
    await engine.createVolume({ Labels: { [ownerLabel]: ended } });
    await engine.createVolume({ Labels: { [ownerLabel]: thisProcess } });
    await sandboxWith().prepare();
    expect(await owned(ended)).toEqual([]);
    const [kept, ...others] = await owned(thisProcess);
    expect(others).toEqual([]);
    await engine.getVolume(kept?.Name ?? '').remove();
  });
});

describe('the results of a command', () => {
  const signal = new AbortController().signal;
  const results = ['some/one', 'two', 'missing'];
  const leaving = 'mkdir -p some; echo first >some/one; head -c 300000 /dev/zero >two; echo printed; exit 3';

  /** What a command leaves behind where `tar` is what the script says, to a shell that would take its own else. */
  async function left(tar?: string, leave = leaving): Promise<Execution> {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    return sandbox.use(0, async (cell) => {
      if (tar !== undefined) {
        const directory = await temporaryDirectory();
        const shell = `#!/bin/sh\nshift; script="tar() { ${tar}; }; $1"; shift\nexec /bin/sh -c "$script" "$@"\n`;
        await writeFile(join(directory, 'sh'), shell);
        await cell.put({ from: directory, to: 'given' });
        await run(cell, 'mkdir commands; cp given/sh commands; chmod +x commands/sh');
      }
      const environment = { PATH: `${cell.directory}/commands:/bin:/usr/bin` };
      return cell.execute({ argv: ['sh', '-c', leave], environment, timeoutSeconds: 60, signal, results });
    });
  }

  it('come with its end, and are no part of its log', async () => {
    const { status, log, files } = await left();
    expect({ status, log }).toEqual({ status: 3, log: 'printed\n' });
    expect([...files.keys()]).toEqual(['some/one', 'two']);
    expect(files.get('some/one')?.toString()).toBe('first\n');
    expect(files.get('two')?.equals(Buffer.alloc(300_000))).toBe(true);
  });

  it.each([
    ['is missing', 'nowhere'],
    ['sends nothing', 'false'],
    ['sends other things', 'ls -l /bin'],
    ['ends in the middle of a file', '/bin/tar -cf - some/one two | head -c 2000'],
  ])('are fetched one by one where tar %s', async (_, tar) => {
    const { status, log, files } = await left(tar);
    expect({ status, log }).toEqual({ status: 3, log: 'printed\n' });
    expect([...files.values()].map(({ length }) => length)).toEqual([6, 300_000]);
  });

  it('are fetched in peace: nothing strikes a command that has ended', async () => {
    const proxy = await EngineProxy.start();
    const sandbox = sandboxWith();
    await sandbox.prepare();
    const lease = new AbortController();
    proxy.onRequest = (request) => void (/^GET .*missing/.test(request) && lease.abort(new Error('lease lost')));
    const ending = await sandbox.use(0, async (cell) => {
      const command = { argv: ['true'], timeoutSeconds: 60, signal: lease.signal, results: ['missing'] };
      const ended = await cell.execute(command);
      expect(lease.signal.aborted).toBe(true);
      expect(await run(cell, 'echo its container lives')).toMatchObject({ log: 'its container lives\n' });
      return ended.ending;
    });
    expect(ending).toBe('exited');
  });

  it.each([
    ['126', undefined],
    ['127', undefined],
    ['126', 'nowhere'],
    ['127', 'nowhere'],
  ])('do not make the status %s of a program a fault of the machine, tar being %s', async (status, tar) => {
    const execution = await left(tar, `echo in the midst of a run; exit ${status}`);
    expect({ status: execution.status, log: execution.log }).toEqual({
      status: Number(status),
      log: 'in the midst of a run\n',
    });
  });

  it('come from the command in PATH, not from a file of its name', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    const { status, log } = await sandbox.use(0, async (cell) => {
      await run(cell, 'touch echo');
      return cell.execute({ argv: ['echo', 'printed'], timeoutSeconds: 60, signal, results });
    });
    expect({ status, log }).toEqual({ status: 0, log: 'printed\n' });
  });

  it('blame the machine where there is no such command, or no shell to run it', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    const started = (argv: string[], environment = {}) =>
      sandbox.use(0, (cell) => cell.execute({ argv, environment, timeoutSeconds: 60, signal, results }));
    await expect(started(['./model.run'])).rejects.toThrow(/cannot start '\.\/model\.run': .*not found/);
    await expect(started(['model'])).rejects.toThrow(/cannot start 'model': .*not found/);
    await expect(started(['/etc/passwd'])).rejects.toThrow(/cannot start '\/etc\/passwd': .*Permission denied/);
    await expect(started(['/etc'])).rejects.toThrow(/cannot start '\/etc': .*Permission denied/);
    await expect(started(['./model.run'], { PATH: '/nowhere' })).rejects.toThrow('it must hold the program sh');
  });
});

describe('the entry point of an image', () => {
  const signal = new AbortController().signal;
  const script = '#!/bin/sh\necho welcome\nexport MODEL_DATA=/data PATH=$PATH:/opt/model\nexec "$@"\n';
  const model = { name: '/opt/model/model', content: '#!/bin/sh\necho "$MODEL_DATA $0 $*"; pwd\n' };
  const entry = { name: '/opt/entry', content: script };

  const imageOf = (name: string, ...instructions: string[]) =>
    imageWith(`atmos-fleet-test/${name}:local`, [model, entry], instructions);

  async function sandboxOf(given: Partial<DockerOptions>): Promise<DockerSandbox> {
    const sandbox = sandboxWith(given);
    await sandbox.prepare();
    return sandbox;
  }

  const problem = (sandbox: DockerSandbox, argv: string[]) =>
    sandbox.use(0, (cell) => cell.problemWith({ argv, environment: { A: 'b' } }));

  it('runs each command, in a container that is kept', async () => {
    const sandbox = await sandboxOf({ image: await imageOf('entry', 'WORKDIR /opt', 'ENTRYPOINT ["./entry"]') });
    expect(await problem(sandbox, ['model'])).toBeUndefined();
    expect(await problem(sandbox, ['other'])).toMatch(/^other: not found on the PATH \(.*:\/opt\/model\) of the image/);
    const runs = () =>
      sandbox.use(0, async (cell) => {
        const { log } = await cell.execute({ argv: ['model', 'a b'], timeoutSeconds: 60, signal });
        return { log, id: (await containersOf())[0]?.Id };
      });
    const first = await runs();
    expect(first.log).toBe('welcome\n/data /opt/model/model a b\n/fleet\n');
    expect(await runs()).toEqual(first);
  });

  it('runs no command where it is to be cleared', async () => {
    const image = await imageOf('entry', 'WORKDIR /opt', 'ENTRYPOINT ["./entry"]');
    const sandbox = await sandboxOf({ image, entrypoint: 'clear', workdir: 'image' });
    expect(await problem(sandbox, ['model'])).toMatch(/^model: not found on the PATH/);
    expect(await problem(sandbox, ['./model/model'])).toBeUndefined();
    expect(await outputOf(sandbox, './model/model')).toBe('./model/model \n/opt');
    const elsewhere = await sandboxOf({ image, workdir: '/opt/model' });
    expect(await outputOf(elsewhere, 'pwd')).toBe('welcome\n/opt/model');
  });

  it.each([
    ['is the program itself', 'ENTRYPOINT ["/opt/model/model"]', /does not run the command after it \(status 0\)/],
    ['is a line for a shell', 'ENTRYPOINT exec /opt/model/model', /does not run the command after it \(status 0\)/],
    ['is not there', 'ENTRYPOINT ["/opt/nothing"]', /"\/opt\/nothing"\] of the image .* cannot be started/],
    [
      'fails',
      'ENTRYPOINT ["/bin/sh", "-c", "echo sorry; exit 3"]',
      /\(status 3\): with sandbox.entrypoint: clear.*sorry/s,
    ],
  ])('is refused where it %s', async (_, instruction, sentence) => {
    const sandbox = await sandboxOf({ image: await imageOf('wrong', instruction) });
    expect(await problem(sandbox, ['model'])).toMatch(sentence);
  });
});

describe('an image that lacks something', () => {
  async function imageOf(name: string, ...files: string[]): Promise<string> {
    const archive = pack();
    for (const file of files) {
      const busybox = name === 'static';
      archive.entry({ name: file, mode: 0o755 }, readFileSync(busybox ? '/bin/busybox' : process.execPath));
    }
    const tag = `atmos-fleet-test/lacks-${name}:local`;
    await importImage(engine, archive, tag);
    return tag;
  }

  const prepared = async (simulator: object) => {
    const created = createSimulator(simulatorSettings.parse(simulator), { timeoutSeconds: 60 });
    onTestFinished(() => created.close());
    await created.prepare();
  };

  it('is refused before anything runs, and leaves nothing', async () => {
    const bare = await imageOf('static', 'model');
    const program = { kind: 'program', command: ['/model'], sandbox: { kind: 'docker', image: bare, pull: 'never' } };
    await expect(prepared(program)).rejects.toThrow(
      new RegExp(
        `^simulator.sandbox.image: ${bare} has to hold cat, which keeps containers: cat: not found on the PATH`,
      ),
    );
    const cat = await imageOf('static', 'bin/cat');
    const sandbox = { kind: 'docker', image: cat, pull: 'never', entrypoint: 'clear' };
    const shell = new DockerSandbox(options({ image: cat }));
    onTestFinished(() => shell.close());
    await shell.prepare();
    const problem = (argv: string[], results: string[]) => shell.use(0, (cell) => cell.problemWith({ argv, results }));
    expect(await problem(['/bin/cat'], ['out'])).toMatch(/^sh: not found on the PATH/);
    expect(await problem(['/bin/cat'], [])).toBeUndefined();
    await expect(prepared({ kind: 'program', command: ['model'], sandbox })).rejects.toThrow(/not found on the PATH/);
    const { Volumes } = await engine.listVolumes({ filters: { label: [`${ownerLabel}=${thisProcess}`] } });
    await shell.close();
    expect(Volumes.length).toBeLessThanOrEqual(1);
    expect(await containersOf()).toEqual([]);
  });

  it('is refused where a binary has no loader in it', async () => {
    const image = await imageWith('atmos-fleet-test/lacks-loader:local', [
      { name: '/model', content: readFileSync('/usr/bin/perl') },
    ]);
    const sandbox = { kind: 'docker', image, pull: 'never' };
    await expect(prepared({ kind: 'program', command: ['/model'], sandbox })).rejects.toThrow(
      /^simulator\.command: \/model: a binary that wants the loader \/lib.*: no such file on the image/,
    );
  });
});

describe('containers of a worker that ended', () => {
  /** A worker with a container that runs for long: its process, and its name on its containers. */
  async function worker(): Promise<{ child: ChildProcess; owner: string }> {
    const module = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
    const script = `
      import { DockerSandbox } from ${module('sandboxes/docker/sandbox.ts')};
      import { thisProcess } from ${module('support/owner.ts')};
      const sandbox = new DockerSandbox(${JSON.stringify(options())});
      await sandbox.prepare();
      await sandbox.use(0, (cell) => {
        console.log(thisProcess);
        return cell.execute({ argv: ['sleep', '600'], timeoutSeconds: 600, signal: new AbortController().signal });
      });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
    return { child, owner: String(line).trim() };
  }

  it('go by themselves, also after SIGKILL', async () => {
    const { child, owner } = await worker();
    expect(await containersOf(owner)).toHaveLength(1);
    child.kill('SIGKILL');
    await expect.poll(() => containersOf(owner), { timeout: 20_000 }).toEqual([]);
  });

  it('are removed at the next start where they did not, and no others are', async () => {
    const { child, owner } = await worker();
    const lost = await engine.createContainer({ Image: image, Cmd: ['true'], Labels: { [ownerLabel]: owner } });
    await sandboxWith().prepare();
    expect(await containersOf(owner)).toHaveLength(2);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await sandboxWith().prepare();
    await expect(lost.inspect()).rejects.toMatchObject({ statusCode: 404 });
    await expect.poll(() => containersOf(owner), { timeout: 20_000 }).toEqual([]);
  });
});

describe('the image', () => {
  const failing = async (given: Partial<DockerOptions>, sentence: RegExp) => {
    const prepared = sandboxWith(given).prepare();
    await expect(prepared).rejects.toThrow(MachineFault);
    await expect(prepared).rejects.toThrow(sentence);
  };

  it('is told in the facts', async () => {
    const sandbox = sandboxWith();
    await sandbox.prepare();
    expect(sandbox.facts).toEqual({
      sandbox: 'docker',
      image,
      image_digest: expect.stringMatching(/sha256:[0-9a-f]{64}$/),
    });
  });

  it('is the machine that is at fault where it cannot be had', async () => {
    await failing(
      { image: 'no/such:image' },
      /^The image no\/such:image is not on this machine, and sandbox.pull is never/,
    );
    await failing(
      { image: '127.0.0.1:1/model', pull: 'missing' },
      /pulling the image 127.0.0.1:1\/model:latest: .*refused/,
    );
    await failing({ image: 'Not A Name' }, /Docker failed while looking for the image/);
  });

  it('is looked for again once it is gone', async () => {
    const tag = 'atmos-fleet-test/gone:1';
    const make = async () => {
      const archive = pack();
      archive.entry({ name: 'made' }, `${process.hrtime.bigint()}`);
      await importImage(engine, archive, tag);
      onTestFinished(() =>
        engine
          .getImage(tag)
          .remove()
          .catch(() => {}),
      );
      return (await engine.getImage(tag).inspect()).Id;
    };
    const sandbox = sandboxWith({ image: tag });
    const first = await make();
    await sandbox.prepare();
    expect(sandbox.facts.image_digest).toBe(first);
    await engine.getImage(tag).remove();
    await expect(sandbox.prepare()).rejects.toThrow(/is not on this machine/);
    const second = await make();
    await sandbox.prepare();
    expect(sandbox.facts.image_digest).toBe(second);
  });

  it.each(['manifests', 'blobs'])(
    'is pulled no more once that is aborted, the registry keeping back %s',
    async (part) => {
      const { server, address } = await registryWith('reader', 'secret');
      onTestFinished(() => {
        server.close();
        server.closeAllConnections();
      });
      const home = await temporaryDirectory();
      const auth = Buffer.from('reader:secret').toString('base64');
      await writeFile(join(home, 'config.json'), JSON.stringify({ auths: { [address]: { auth } } }));
      vi.stubEnv('DOCKER_CONFIG', home);
      onTestFinished(() => void vi.unstubAllEnvs());
      const [answer] = server.listeners('request');
      const stop = new AbortController();
      server.removeAllListeners('request').on('request', (request, response) => {
        if (request.url?.includes(`/${part}/`)) stop.abort(new Error('told to stop'));
        else answer?.(request, response);
      });
      const simulator = createSimulator(
        simulatorSettings.parse({
          kind: 'program',
          command: ['true'],
          sandbox: { kind: 'docker', image: `${address}/model:1` },
        }),
        { timeoutSeconds: 60, stable: { temperature: { min: 1 } } },
      );
      onTestFinished(() => simulator.close());
      await expect(simulator.prepare(stop.signal)).rejects.toThrow('told to stop');
    },
  );

  it('is pulled with the credentials that a helper gives', async () => {
    const { server, address } = await registryWith('reader', 'se:cret');
    onTestFinished(() => void server.close());
    const home = await temporaryDirectory();
    const answer = { ServerURL: address, Username: 'reader', Secret: 'se:cret' };
    const helper = `#!/bin/sh\nread -r registry; [ "$1 $registry" = "get ${address}" ] && echo '${JSON.stringify(answer)}'\n`;
    await writeFile(join(home, 'docker-credential-test'), helper);
    await chmod(join(home, 'docker-credential-test'), 0o755);
    await writeFile(join(home, 'config.json'), JSON.stringify({ credHelpers: { [address]: 'test' } }));
    vi.stubEnv('DOCKER_CONFIG', home);
    vi.stubEnv('PATH', `${home}:${process.env.PATH}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    await pulled(address);
  });

  it('is pulled with the credentials that stand in the configuration, and not without', async () => {
    const { server, address } = await registryWith('reader', 'secret');
    onTestFinished(() => void server.close());
    const home = await temporaryDirectory();
    vi.stubEnv('DOCKER_CONFIG', home);
    onTestFinished(() => void vi.unstubAllEnvs());
    await failing({ image: `${address}/model:1`, pull: 'missing' }, /pulling the image .*(no basic auth|unauthorized)/);
    const auth = Buffer.from('reader:secret').toString('base64');
    await writeFile(join(home, 'config.json'), JSON.stringify({ auths: { [address]: { auth } } }));
    await pulled(address);
  });

  async function pulled(address: string): Promise<void> {
    const notes: string[] = [];
    const sandbox = sandboxWith({ image: `${address}/model:1`, pull: 'always' }, (note) => notes.push(note));
    onTestFinished(() => engine.getImage(`${address}/model:1`).remove());
    await sandbox.prepare();
    expect(notes).toEqual([`pulling the image ${address}/model:1`, `pulled the image ${address}/model:1`]);
    expect(sandbox.facts.image_digest).toMatch(new RegExp(`^${address}/model@sha256:`));
  }
});

describe('the engine', () => {
  it('is the machine that is at fault where there is none', async () => {
    vi.stubEnv('DOCKER_HOST', 'unix:///nowhere/docker.sock');
    onTestFinished(() => void vi.unstubAllEnvs());
    const prepared = sandboxWith().prepare();
    await expect(prepared).rejects.toThrow(MachineFault);
    await expect(prepared).rejects.toThrow(
      'No Docker engine answers at unix:///nowhere/docker.sock (ENOENT): start Docker, or set DOCKER_HOST',
    );
  });

  it('is reached over TCP with TLS, by those who show a certificate', async () => {
    const { folder, ...files } = await certificates();
    const [ca, cert, key] = [files.ca, files.cert, files.key].map((file) => readFileSync(file));
    const socket = (process.env.DOCKER_HOST ?? '').replace('unix://', '');
    const front = createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true }, (client) => {
      const behind = connect(socket);
      client.on('error', () => behind.destroy()).pipe(behind);
      behind.on('error', () => client.destroy()).pipe(client);
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void front.close());
    await once(front, 'listening');
    vi.stubEnv('DOCKER_HOST', `tcp://127.0.0.1:${(front.address() as AddressInfo).port}`);
    vi.stubEnv('DOCKER_TLS_VERIFY', '1');
    vi.stubEnv('DOCKER_CERT_PATH', folder);
    onTestFinished(() => void vi.unstubAllEnvs());
    const sandbox = sandboxWith();
    await sandbox.prepare();
    expect(await outputOf(sandbox, 'echo "over TLS"')).toBe('over TLS');

    vi.stubEnv('DOCKER_CERT_PATH', await temporaryDirectory());
    await expect(sandboxWith().prepare()).rejects.toThrow(
      /^Docker cannot be reached as DOCKER_HOST and DOCKER_CERT_PATH say: .*ca\.pem/,
    );
  });

  it('costs a run that has ended nothing by going away, and says so at the next', async () => {
    const proxy = await EngineProxy.start();
    const sandbox = sandboxWith();
    await sandbox.prepare();
    proxy.onRequest = (request) => void (/\/top[ ?]/.test(request) && proxy.away());
    expect(await outputOf(sandbox, 'echo fine')).toBe('fine');
    const next = sandbox.use(0, async () => {});
    await expect(next).rejects.toThrow(MachineFault);
    await expect(next).rejects.toThrow('No Docker engine answers');
    proxy.onRequest = () => undefined;
    await proxy.back();
    expect(await outputOf(sandbox, 'echo again')).toBe('again');
    proxy.away();
    await sandbox.close();
    await expect.poll(() => containersOf(), { timeout: 20_000 }).toEqual([]);
  });

  it('is the machine that is at fault where it breaks off in the middle of a copy', async () => {
    const proxy = await EngineProxy.start();
    const sandbox = sandboxWith();
    await sandbox.prepare();
    proxy.onRequest = (request) => (/^GET .*archive/.test(request) ? 100_000 : undefined);
    const to = await temporaryDirectory();
    const copies = [(cell: Cell) => cell.take('output', to), (cell: Cell) => cell.read('output/large')];
    for (const copyOut of copies) {
      const copy = sandbox.use(0, async (cell) => {
        await run(cell, 'mkdir output; head -c 300000 /dev/zero >output/large');
        await copyOut(cell);
      });
      await expect(copy).rejects.toThrow(MachineFault);
    }
  });
});
