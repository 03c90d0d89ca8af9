import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createSimulator } from '../../src/simulators/index.js';
import { simulatorSettings } from '../../src/simulators/settings.js';
import { MachineFault } from '../../src/support/errors.js';
import { attemptWith } from '../support/attempt.js';
import { Child } from '../support/child.js';
import { attemptDirectories, temporaryDirectory } from '../support/directories.js';

vi.setConfig({ testTimeout: 60_000 });

const source = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e'];
const done = `echo '{"stable":true}' >"$FLEET_OUTPUT_DIR/result.json"`;
/** Where control groups of the first version are, which root may make. */
const memoryGroups = '/sys/fs/cgroup/memory';
const isRoot = process.getuid?.() === 0;

/** Runs of a shell script in the sandbox `local`. */
async function scripted(script: string, more: object = {}) {
  const scratch = await temporaryDirectory();
  await chmod(scratch, 0o711);
  const sandbox = { kind: 'local', scratch, ...more };
  const settings = simulatorSettings.parse({ kind: 'program', command: ['sh', '-c', script], sandbox });
  const simulator = createSimulator(settings, { timeoutSeconds: 60 });
  onTestFinished(() => simulator.close());
  await simulator.prepare();
  const { input, output } = await attemptDirectories();
  const run = (about: object = {}) => simulator.run(attemptWith({ directories: { input, output }, ...about }));
  return { run, scratch, output };
}

/** A script that runs one command in the sandbox `local` in a folder, and prints what became of it. */
const outcomeIn = (scratch: string, elsewhere: string, command: string) => `
  import { mkdirSync } from 'node:fs';
  import { createSimulator } from ${source('simulators/index.ts')};
  const sandbox = { kind: 'local', scratch: ${JSON.stringify(`${scratch}/cells`)}, outputBytes: 1e6, outputFiles: 100, passEnvironment: [] };
  const simulator = createSimulator({ kind: 'program', command: ['sh', '-c', ${JSON.stringify(command)}], sandbox }, { timeoutSeconds: 60 });
  const directories = { input: ${JSON.stringify(`${elsewhere}/input`)}, output: ${JSON.stringify(`${elsewhere}/output`)} };
  for (const directory of Object.values(directories)) mkdirSync(directory, { recursive: true });
  await simulator.prepare();
  const attempt = { parameters: {}, slot: 0, directories, signal: new AbortController().signal };
  const outcome = await simulator.run(attempt).catch((error) => error.name + ': ' + error.message);
  console.log(JSON.stringify(outcome));
  await simulator.close();
`;

/** The processes whose command line is that. */
async function processesNamed(command: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return pids.filter((_, index) => lines[index]?.replaceAll('\0', ' ').trim() === command);
}

describe('a process that a run left behind in the sandbox local', () => {
  const loose = (number: number) =>
    `(setsid env -i sh -c 'cd /; (exec sleep ${number}) & exit' </dev/null >/dev/null 2>&1 &)`;

  it('is ended with the run, though nothing but its mark tells where it comes from', async () => {
    const { run } = await scripted(`${loose(86471)}; until pgrep -f 'sleep 8647[1]'; do :; done; ${done}`);
    expect(await run()).toMatchObject({ kind: 'completed' });
    expect(await processesNamed('sleep 86471')).toEqual([]);
  });

  it('is ended at the next start where its worker was killed', async () => {
    const scratch = await temporaryDirectory();
    const script = outcomeIn(scratch, scratch, `${loose(86472)}; exec sleep 86473`);
    const worker = await Child.start(node[0] as string, [...node.slice(1), script]);
    await expect.poll(() => processesNamed('sleep 86472'), { timeout: 20_000 }).toHaveLength(1);
    await worker.end();
    expect(await processesNamed('sleep 86472')).toHaveLength(1);
    const settings = simulatorSettings.parse({
      kind: 'program',
      command: ['true'],
      sandbox: { kind: 'local', scratch: join(scratch, 'cells') },
    });
    const next = createSimulator(settings, { timeoutSeconds: 60 });
    onTestFinished(() => next.close());
    await next.prepare();
    expect(await processesNamed('sleep 86472')).toEqual([]);
    expect(await processesNamed('sleep 86473')).toEqual([]);
  });

  it('leaves the processes of another slot alone', async () => {
    const scratch = await temporaryDirectory();
    const settings = simulatorSettings.parse({
      kind: 'program',
      command: ['sh', '-c', `eval "$(cat "$FLEET_INPUT_DIR/script")"`],
      sandbox: { kind: 'local', scratch },
    });
    const simulator = createSimulator(settings, { timeoutSeconds: 60 });
    onTestFinished(() => simulator.close());
    await simulator.prepare();
    const start = async (slot: number, script: string) => {
      const directories = await attemptDirectories();
      await writeFile(join(directories.input, 'script'), script);
      return simulator.run(attemptWith({ directories, slot }));
    };
    const gate = join(scratch, 'gate');
    const other = start(
      1,
      `(setsid env -i sh -c 'until [ -e ${gate} ]; do sleep 0.1; done; echo kept >${gate}.seen' &)
      until [ -e ${gate}.seen ]; do sleep 0.1; done; ${done}`,
    );
    for (let run = 0; run < 3; run++) expect(await start(0, done)).toMatchObject({ kind: 'completed' });
    await writeFile(gate, '');
    expect(await other).toMatchObject({ kind: 'completed' });
  });
});

describe('a run that failed in the sandbox local', () => {
  /** What became of a command whose scratch is a small disk of its own. */
  async function onSmallDisk(options: string, command: string): Promise<unknown> {
    const disk = await temporaryDirectory();
    const mounted = `mount -t tmpfs -o ${options} none "$0" && exec "$@"`;
    const apart = ['--user', '--map-root-user', '--mount', 'sh', '-c', mounted, disk];
    const child = await Child.start('unshare', [
      ...apart,
      ...node,
      outcomeIn(disk, await temporaryDirectory(), command),
    ]);
    expect(await child.exited, child.stderr).toMatchObject({ status: 0 });
    return JSON.parse(child.stdout);
  }

  it('is the fault of a machine whose disk is full', async () => {
    const full = await onSmallDisk('size=64m', 'head -c 100000000 /dev/zero >"$TMPDIR/big"');
    expect(full).toMatch(/^MachineFault: .*the disk of .* is full: less than 32 MiB are free$/);
  });

  it('is the fault of a machine whose disk was full while it ran', async () => {
    const cleaned = 'head -c 100000000 /dev/zero >"$TMPDIR/big"; sleep 1; rm "$TMPDIR/big"; exit 1';
    expect(await onSmallDisk('size=64m', cleaned)).toMatch(/^MachineFault: .*less than 32 MiB are free$/);
  });

  it('is the fault of a machine that has no inodes left', async () => {
    const many = 'i=0; while :>"$TMPDIR/$i"; do i=$((i+1)); done; exit 1';
    expect(await onSmallDisk('size=64m,nr_inodes=3000', many)).toMatch(
      /^MachineFault: .*fewer than 1,024 inodes left$/,
    );
  });

  it.runIf(isRoot && existsSync(memoryGroups))('is the fault of a machine that ran out of memory', async () => {
    const folder = await temporaryDirectory();
    const group = join(memoryGroups, `atmos-fleet-test-${process.pid}`);
    await mkdir(group);
    onTestFinished(() => rmdir(group));
    await writeFile(join(group, 'memory.limit_in_bytes'), '300000000');
    const script = outcomeIn(folder, folder, 'head -c 900000000 /dev/zero | tail -c 899999999 >/dev/null');
    const child = await Child.start('sh', ['-c', 'echo $$ >"$0/cgroup.procs"; exec "$@"', group, ...node, script]);
    expect(await child.exited, child.stderr).toMatchObject({ status: 0 });
    expect(JSON.parse(child.stdout)).toMatch(/^MachineFault: .* ran out of memory$/);
  });

  it('is the fault of its program where the machine has room', async () => {
    expect(await onSmallDisk('size=64m', 'exit 3')).toMatchObject({ kind: 'error', message: 'exit status 3' });
  });

  it('is the fault of the machine where its directory was removed meanwhile', async () => {
    const { run } = await scripted('rm -r "$(dirname "$TMPDIR")"; exit 1');
    await expect(run()).rejects.toThrow(MachineFault);
    await expect(run()).rejects.toThrow(/was removed while a run was in it/);
  });
});

describe('the sandbox local', () => {
  it('makes its folders again where a cleaner of temporary folders removed them', async () => {
    const { run, scratch } = await scripted(done);
    const taken = await temporaryDirectory();
    for (let round = 0; round < 3; round++) {
      expect(await run()).toMatchObject({ kind: 'completed' });
      for (const name of await readdir(scratch)) await rename(join(scratch, name), join(taken, name));
      expect(await readdir(scratch)).toEqual([]);
    }
  });

  it('blames the machine, and goes on, where no more files can be opened or processes be started', async () => {
    const scratch = await temporaryDirectory();
    const script = `
      import { closeSync, openSync } from 'node:fs';
      import { LocalSandbox } from ${source('sandboxes/local.ts')};
      const sandbox = new LocalSandbox({ scratch: ${JSON.stringify(scratch)}, outputBytes: 1e6, outputFiles: 100, passEnvironment: [] });
      await sandbox.prepare();
      const command = { argv: ['true'], timeoutSeconds: 60, signal: new AbortController().signal };
      const run = () => sandbox.use(0, (cell) => cell.execute(command)).then(({ ending }) => ending, ({ name }) => name);
      const ended = new Set([await run()]);
      for (let free = 0; free < 20; free++) {
        const open = [];
        try { for (;;) open.push(openSync('/dev/null')); } catch {}
        for (let i = 0; i < free; i++) closeSync(open.pop());
        ended.add(await run());
        for (const each of open) closeSync(each);
      }
      ended.add('after: ' + await run());
      console.log([...ended].sort().join());
      await sandbox.close();`;
    const limited = ['-c', 'ulimit -n 120; exec "$@"', 'sh', ...node, script];
    const child = await Child.start('sh', limited);
    expect(await child.exited, child.stderr).toEqual({ status: 0, signal: null });
    expect(child.stdout.trim()).toBe('MachineFault,after: exited,exited');
  });

  it.runIf(isRoot)(
    'runs programs as another user, who reads nothing of the worker and leaves nothing with rights',
    async () => {
      const secret = join(await temporaryDirectory(), 'secret');
      await writeFile(secret, 'secret');
      await chmod(secret, 0o600);
      const script = `
      id -u; cat ${secret} /proc/$PPID/environ 2>&1; touch "$TMPDIR/mine"
      cp /bin/true "$FLEET_OUTPUT_DIR/rights"; chmod 4755 "$FLEET_OUTPUT_DIR/rights"
      ln -s ${secret} "$FLEET_OUTPUT_DIR/link"; ${done}; chmod 0 "$FLEET_OUTPUT_DIR"`;
      const { run, output } = await scripted(script, { user: '65534' });
      for (let round = 0; round < 2; round++) {
        expect(await run()).toMatchObject({ kind: 'completed' });
        const log = await readFile(join(output, 'fleet_log.txt'), 'utf8');
        expect(log).toMatch(/^65534\n.*Permission denied\n.*Permission denied\n$/);
        expect((await stat(join(output, 'rights'))).mode & 0o7000).toBe(0);
        expect(await readdir(output)).not.toContain('link');
      }
    },
  );

  it.runIf(isRoot)('shuts other cells to a program that runs as another user', async () => {
    // Names of cells can be guessed.
    const script = `for n in 0 1 2 3 4; do ls -ld "$(dirname "$TMPDIR")/../slot-1-$n" "$(dirname "$TMPDIR")/../slot-1-$n/work" 2>&1; done; ${done}`;
    const { run, output } = await scripted(script, { user: '65534' });
    await run({ slot: 1 });
    expect(await run({ slot: 0 })).toMatchObject({ kind: 'completed' });
    expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toMatch(/Permission denied/);
  });

  it.runIf(isRoot)('says that another user cannot reach its folder', async () => {
    const settings = { kind: 'local', scratch: await temporaryDirectory(), user: '65534' };
    const simulator = createSimulator(
      simulatorSettings.parse({ kind: 'program', command: ['true'], sandbox: settings }),
      { timeoutSeconds: 60 },
    );
    onTestFinished(() => simulator.close());
    await expect(simulator.prepare()).rejects.toThrow(/user 65534 cannot enter .*: every folder above/);
  });

  it('refuses another user where it may not run as one', async () => {
    const folder = await temporaryDirectory();
    await chmod(folder, 0o777);
    const script = `
      import { LocalSandbox } from ${source('sandboxes/local.ts')};
      const options = { scratch: ${JSON.stringify(folder)}, user: '12345', outputBytes: 1e6, outputFiles: 100, passEnvironment: [] };
      await new LocalSandbox(options).prepare().catch(({ name }) => console.log(name));`;
    const child = await Child.start(
      node[0] as string,
      [...node.slice(1), script],
      isRoot ? { uid: 65534, gid: 65534 } : {},
    );
    expect(await child.exited, child.stderr).toEqual({ status: 0, signal: null });
    expect(child.stdout.trim()).toBe('UsageError');
  });
});

describe('the secrets of a process', () => {
  it('are not in the environment that /proc shows, and its own code still has them', async () => {
    const script = `
      import { execFileSync } from 'node:child_process';
      import { hideSecrets } from ${source('support/environment.ts')};
      hideSecrets();
      const shown = execFileSync('cat', ['/proc/' + process.pid + '/environ'], { env: {} }).toString();
      console.log(JSON.stringify([process.env.REDIS_URL, process.env.DATABASE_URL, /secret/.test(shown), /OTHER=kept/.test(shown)]));`;
    const env = { ...process.env, REDIS_URL: 'redis://:secret@h', DATABASE_URL: 'mysql://u:secret@h/d', OTHER: 'kept' };
    const child = await Child.start(node[0] as string, [...node.slice(1), script], { env });
    expect(await child.exited, child.stderr).toEqual({ status: 0, signal: null });
    expect(JSON.parse(child.stdout)).toEqual(['redis://:secret@h', 'mysql://u:secret@h/d', false, true]);
  });
});
