import { spawn } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LocalSandbox } from '../../src/sandboxes/local.js';
import { CannotStart, type Cell, type Sandbox } from '../../src/sandboxes/sandbox.js';
import { createSimulator } from '../../src/simulators/index.js';
import { ProgramSimulator } from '../../src/simulators/program.js';
import { simulatorSettings } from '../../src/simulators/settings.js';
import { MachineFault, UsageError } from '../../src/support/errors.js';
import { attemptWith } from '../support/attempt.js';
import { Child } from '../support/child.js';
import { attemptDirectories, temporaryDirectory } from '../support/directories.js';
import { busyboxImage, containersOf } from '../support/docker.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const timeoutSeconds = 60;
const limits = { outputBytes: 1e9, outputFiles: 1000 };

const writesResult = (text: string) => `echo '${text}' >"$FLEET_OUTPUT_DIR/result.json"`;

/** A program that starts one child in its group and one in a session of its own, and then hangs. */
const hangsWithChildren = 'sleep 86461 & setsid sleep 86462 & echo started; exec sleep 86463';

/** What a test needs to know of a sandbox. */
interface Place {
  kind: 'local' | 'docker';
  ready: () => Promise<unknown>;
  settings: () => Promise<object>;
  /** How many processes of the sandbox's programs run. */
  running: (settings: object) => Promise<number>;
}

const places: Place[] = [
  {
    kind: 'local',
    ready: async () => {},
    settings: async () => ({ kind: 'local', scratch: await temporaryDirectory() }),
    running: async (settings) => (await processesOf((settings as { scratch: string }).scratch)).length,
  },
  {
    kind: 'docker',
    ready: busyboxImage,
    settings: async () => ({ kind: 'docker', image: await busyboxImage(), memory: '64m', scratch: '16m', pids: 64 }),
    running: async () => (await processesOf('sleep 8646')).length,
  },
];

describe.each(places)('a program in the sandbox $kind', (place) => {
  beforeAll(place.ready);

  /** A simulator whose program is a shell script, and the directories of one run of it. */
  async function scripted(script: string, timeout = timeoutSeconds) {
    const sandbox = await place.settings();
    const settings = simulatorSettings.parse({ kind: 'program', command: ['sh', '-c', script], sandbox });
    const simulator = createSimulator(settings, { timeoutSeconds: timeout });
    onTestFinished(() => simulator.close());
    await simulator.prepare();
    const { input, output } = await attemptDirectories();
    return { simulator, sandbox, directories: { input, output } };
  }

  it('reads its parameters and its parent, and its result and files are kept', async () => {
    const { simulator, directories } = await scripted(`
      mkdir "$FLEET_OUTPUT_DIR/deep"
      cat "$FLEET_PREVIOUS_DIR/deep/solution" "$FLEET_INPUT_DIR/parameters.json" >"$FLEET_OUTPUT_DIR/deep/solution"
      ${writesResult('{"stable": true, "temperature": 288.1, "outputs": {"flux": -1e12}}')}
      echo done`);
    const { previous } = await attemptDirectories();
    await mkdir(join(previous, 'deep'));
    await writeFile(join(previous, 'deep', 'solution'), 'parent ');
    const outcome = await simulator.run(attemptWith({ directories: { ...directories, previous } }));
    expect(outcome).toEqual({ kind: 'completed', stable: true, temperature: 288.1, outputs: { flux: -1e12 } });
    const solution = await readFile(join(directories.output, 'deep', 'solution'), 'utf8');
    expect(solution).toBe('parent {"O2":0.21,"N2":0.79}');
    expect(await readFile(join(directories.output, 'fleet_log.txt'), 'utf8')).toBe('done\n');
  });

  it('reads parameters that are no integers to any language', async () => {
    const { simulator, directories } = await scripted(
      `cat "$FLEET_INPUT_DIR/parameters.json"; ${writesResult('{"stable":true}')}`,
    );
    await simulator.run(attemptWith({ directories, parameters: { a: 2, b: 2.5e19, c: 0, d: 1.63e-6, e: 1e16 } }));
    const log = await readFile(join(directories.output, 'fleet_log.txt'), 'utf8');
    expect(log).toBe('{"a":2.0,"b":2.5e+19,"c":0.0,"d":1.63e-06,"e":1e+16}');
    expect(JSON.parse(log)).toEqual({ a: 2, b: 2.5e19, c: 0, d: 1.63e-6, e: 1e16 });
  });

  it('sees no secret of the worker, and no parent where there is none', async () => {
    process.env.REDIS_URL = 'redis://:secret@127.0.0.1';
    onTestFinished(() => {
      delete process.env.REDIS_URL;
    });
    const { simulator, directories } = await scripted(`env; ${writesResult('{"stable":false}')}`);
    await simulator.run(attemptWith({ directories }));
    const log = await readFile(join(directories.output, 'fleet_log.txt'), 'utf8');
    expect(log).toContain('FLEET_OUTPUT_DIR=');
    expect(log).not.toMatch(/secret|FLEET_PREVIOUS_DIR/);
  });

  it.each([
    ['a status other than 0', 'echo no such gas >&2; exit 3', /^exit status 3\nno such gas$/],
    ['a signal', 'kill -SEGV $$', /^exit status 139/],
    ['no result', '', /^it left no result.json$/],
    ['a result that is no JSON', writesResult('{"stable": true, "temperature": 288 K}'), /not JSON/],
    ['a verdict that is no boolean', writesResult('{"stable": "yes"}'), /wrong at stable: wants true or false/],
    ['an output that is no number', writesResult('{"stable": true, "outputs": {"a": "1"}}'), /wrong at outputs.a/],
    ['a name that nobody knows', writesResult('{"stable": true, "temprature": 1}'), /temprature/],
    [
      'a result that is a link',
      `${writesResult('{"stable":true}')}; cd "$FLEET_OUTPUT_DIR"; mv result.json other; ln -s other result.json`,
      /^its result.json is a symbolic link: expected a regular file$/,
    ],
    ['a result that is a link to nothing', 'ln -s nowhere "$FLEET_OUTPUT_DIR/result.json"', /is a symbolic link/],
    ['a result that is a directory', 'mkdir "$FLEET_OUTPUT_DIR/result.json"', /is a directory: expected a regular/],
    ['a result that is a pipe', 'mkfifo "$FLEET_OUTPUT_DIR/result.json"', /is a named pipe: expected a regular file$/],
    ['a result without an end', 'head -c 9000000 /dev/zero >"$FLEET_OUTPUT_DIR/result.json"', /larger than/],
  ])('makes %s an error of the program', async (_, script, message) => {
    const { simulator, directories } = await scripted(script);
    expect(await simulator.run(attemptWith({ directories }))).toEqual({
      kind: 'error',
      errorKind: 'program',
      message: expect.stringMatching(message),
    });
  });

  it('kills what takes too long, with all that it started', async () => {
    const { simulator, sandbox, directories } = await scripted(hangsWithChildren, 2);
    expect(await simulator.run(attemptWith({ directories }))).toMatchObject({
      kind: 'error',
      errorKind: 'timeout',
      message: expect.stringMatching(/^killed after 2 s/),
    });
    expect(await place.running(sandbox)).toBe(0);
  });

  it('ends at once and throws the reason when its lease is lost', async () => {
    const { simulator, sandbox, directories } = await scripted(hangsWithChildren);
    const lease = new AbortController();
    const run = simulator.run(attemptWith({ directories, signal: lease.signal }));
    await expect.poll(() => place.running(sandbox), { timeout: 20_000 }).toBe(3);
    lease.abort(new Error('lease lost'));
    await expect(run).rejects.toThrow('lease lost');
    expect(await place.running(sandbox)).toBe(0);
  });

  it('ends what a run left behind, also when that holds its output', async () => {
    const { simulator, sandbox, directories } = await scripted(
      `setsid sleep 86461 & ${writesResult('{"stable":true}')}`,
    );
    expect(await simulator.run(attemptWith({ directories }))).toMatchObject({ kind: 'completed' });
    await expect.poll(() => place.running(sandbox), { timeout: 20_000 }).toBe(0);
  });

  it('gives each run an empty place', async () => {
    const { simulator } = await scripted(
      `ls; ls -a "$TMPDIR" "$FLEET_OUTPUT_DIR" | grep trace
       touch trace "$FLEET_OUTPUT_DIR/trace"; ${writesResult('{"stable":true}')}`,
    );
    for (const slot of [0, 0, 1, 0]) {
      const { input, output } = await attemptDirectories();
      expect(await simulator.run(attemptWith({ directories: { input, output }, slot }))).toMatchObject({
        stable: true,
      });
      expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toBe('input\noutput\n');
    }
  });

  it('keeps the beginning and the end of a log without an end', async () => {
    const { simulator, directories } = await scripted(
      `echo begin; yes | head -c 20000000; echo end; ${writesResult('{"stable":true}')}`,
    );
    await simulator.run(attemptWith({ directories }));
    const log = await readFile(join(directories.output, 'fleet_log.txt'), 'utf8');
    expect(log.length).toBeLessThan(600_000);
    expect(log).toMatch(/^begin\n.*\[\d+ bytes left out\].*\nend\n$/s);
  });

  it('has its log where a program left a directory of that name', async () => {
    const { simulator, directories } = await scripted(`
      mkdir "$FLEET_OUTPUT_DIR/fleet_log.txt"; echo 1 >"$FLEET_OUTPUT_DIR/fleet_log.txt/inside"
      echo done; ${writesResult('{"stable":true}')}`);
    expect(await simulator.run(attemptWith({ directories }))).toMatchObject({ stable: true });
    expect(await readFile(join(directories.output, 'fleet_log.txt'), 'utf8')).toBe('done\n');
  });

  /** A simulator of a command beside which these files lie, all of them programs. */
  async function beside(command: string[], files: Record<string, string> = {}, more: object = {}) {
    const folder = await temporaryDirectory();
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content, { mode: 0o755 });
    const settings = simulatorSettings.parse({ kind: 'program', command, ...more, sandbox: await place.settings() });
    const simulator = createSimulator(settings, { timeoutSeconds, folder });
    onTestFinished(() => simulator.close());
    return simulator;
  }

  it.each([
    ['no-such-model', /^simulator\.command: no-such-model: not found on the PATH/],
    ['./no-such-model', /no-such-model: no such file on /],
    ['/etc/passwd', /^simulator\.command: \/etc\/passwd: no permission to execute it: chmod \+x/],
    ['/etc', /^simulator\.command: \/etc: not a file that could be started$/],
    ['./interpreted', /interpreted: its first line is "#!\/no\/such\/sh", but \/no\/such\/sh: no such file on /],
    ['./by-env', /"#!\/bin\/env no-such-python", but (no-such-python: not found on the PATH|\/bin\/env: no such file)/],
  ])('refuses the command %s before it runs', async (program, sentence) => {
    const files = { interpreted: '#!/no/such/sh\n', 'by-env': '#!/bin/env no-such-python\n' };
    const prepared = (await beside([program], files)).prepare();
    await expect(prepared).rejects.toThrow(UsageError);
    await expect(prepared).rejects.toThrow(sentence);
  });

  it.each([
    ['word', ['sh', 'model.sh', 'a word']],
    ['program', ['./model.sh', 'a word']],
  ])('finds a %s of the command in the folder of the configuration', async (_, command) => {
    const model = `#!/bin/sh\necho "$1"; ${writesResult('{"stable":true}')}`;
    const simulator = await beside(command, { 'model.sh': model });
    await simulator.prepare();
    for (let run = 0; run < 2; run++) {
      const { input, output } = await attemptDirectories();
      expect(await simulator.run(attemptWith({ directories: { input, output } }))).toMatchObject({ stable: true });
      expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toBe('a word\n');
    }
  });

  it('leaves words alone that name directories, or files of a run', async () => {
    const simulator = await beside(
      [
        'sh',
        '-c',
        `echo "$@"; ls "$1"; ${writesResult('{"stable":true}')}`,
        'sh',
        'input/parameters.json',
        'input',
        '-e',
      ],
      { '-e': '' },
    );
    await simulator.prepare();
    const { input, output } = await attemptDirectories();
    await simulator.run(attemptWith({ directories: { input, output } }));
    expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toBe(
      'input/parameters.json input -e\ninput/parameters.json\n',
    );
  });

  it('has the variables that the configuration sets', async () => {
    const env = { OMP_NUM_THREADS: 4, DEBUG: true, GREETING: 'a $b "c"' };
    const script = `echo "$OMP_NUM_THREADS $DEBUG $GREETING"; ${writesResult('{"stable":true}')}`;
    const simulator = await beside(['sh', '-c', script], {}, { env });
    await simulator.prepare();
    const { input, output } = await attemptDirectories();
    await simulator.run(attemptWith({ directories: { input, output } }));
    expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toBe('4 true a $b "c"\n');
  });

  it('runs all slots at once', async () => {
    const { simulator } = await scripted(`echo x; ${writesResult('{"stable":true}')}`);
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, async (_, slot) =>
        simulator.run(attemptWith({ directories: await attemptDirectories(), slot })),
      ),
    );
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(8).fill('completed'));
    if (place.kind === 'docker') expect(await containersOf()).toHaveLength(8);
  });
});

it('a program that could not be started after all is refused at the next look', async () => {
  const cell = {
    directory: '/fleet',
    problemWith: async () => undefined,
    put: async () => {},
    execute: () => Promise.reject(new CannotStart("This machine cannot start 'model'")),
  };
  const sandbox = {
    prepare: async () => {},
    use: (_: number, work: (cell: Cell) => Promise<unknown>) => work(cell as unknown as Cell),
  };
  const simulator = new ProgramSimulator({ command: ['model'], timeoutSeconds }, sandbox as unknown as Sandbox);
  await simulator.prepare();
  const run = simulator.run(attemptWith({ directories: await attemptDirectories() }));
  await expect(run).rejects.toThrow(MachineFault);
  await expect(simulator.prepare()).rejects.toThrow(UsageError);
});

describe('the local sandbox', () => {
  it('gives programs a small environment', async () => {
    const sandbox = new LocalSandbox({ scratch: await temporaryDirectory(), ...limits });
    onTestFinished(() => sandbox.close());
    await sandbox.prepare();
    const argv = [process.execPath, '-p', 'Object.keys(process.env).sort().join()'];
    const { log } = await sandbox.use(0, (cell) =>
      cell.execute({ argv, timeoutSeconds, signal: new AbortController().signal }),
    );
    expect(log.trim()).toBe('FLEET_CELL,HOME,LANG,PATH,TMPDIR');
  });

  it('passes on the variables of the worker that it names, and says which are not set', async () => {
    vi.stubEnv('MODEL_DATA', '/data of the model');
    onTestFinished(() => void vi.unstubAllEnvs());
    const sandbox = { kind: 'local', scratch: await temporaryDirectory(), passEnvironment: ['MODEL_DATA', 'NOT_SET'] };
    const script = `echo "$MODEL_DATA"; env | grep -c NOT_SET; ${writesResult('{"stable":true}')}`;
    const settings = simulatorSettings.parse({ kind: 'program', command: ['sh', '-c', script], sandbox });
    const notes: string[] = [];
    const simulator = createSimulator(settings, { timeoutSeconds, note: (sentence) => notes.push(sentence) });
    onTestFinished(() => simulator.close());
    await simulator.prepare();
    const { input, output } = await attemptDirectories();
    await simulator.run(attemptWith({ directories: { input, output } }));
    expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toBe('/data of the model\n0\n');
    expect(notes).toEqual(['sandbox.passEnvironment: NOT_SET is not set here']);
  });

  it('keeps what a run writes through a link out of the checkout it was copied from', async () => {
    const checkout = await temporaryDirectory();
    await mkdir(join(checkout, 'templates'));
    await writeFile(join(checkout, 'templates', 'profile'), 'pristine');
    await symlink('templates/profile', join(checkout, 'profile'));
    const sandbox = new LocalSandbox({ scratch: await temporaryDirectory(), ...limits }, checkout);
    onTestFinished(() => sandbox.close());
    await sandbox.prepare();
    const argv = ['sh', '-c', 'echo changed >profile'];
    const signal = new AbortController().signal;
    const { files } = await sandbox.use(0, (cell) =>
      cell.execute({ argv, timeoutSeconds, signal, results: ['templates/profile'] }),
    );
    expect(String(files.get('templates/profile'))).toBe('changed\n');
    expect(await readFile(join(checkout, 'profile'), 'utf8')).toBe('pristine');
  });

  it('blames the machine when its scratch directory cannot be made', async () => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    await expect(new LocalSandbox({ scratch: join(file, 'scratch'), ...limits }).prepare()).rejects.toThrow(
      MachineFault,
    );
  });

  it('gets at what a program shut its own user out of, keeps that and removes it', async () => {
    const folder = await temporaryDirectory();
    await chmod(folder, 0o777);
    const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}; // nothing is shut for root
    const child = await Child.start(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', shutOut(folder)],
      user,
    );
    expect(await child.exited, child.stderr).toEqual({ status: 0, signal: null });
    expect(JSON.parse(child.stdout)).toEqual({
      outcomes: [expect.objectContaining({ stable: true }), expect.objectContaining({ stable: true })],
      kept: ['closed/inner/one', 'first', 'hidden', 'result.json'],
      hidden: 'text\n',
      read: 'text\n',
      left: [],
      outside: '500',
    });
  });

  it('removes what a killed worker left, its processes included', async () => {
    const scratch = await temporaryDirectory();
    const worker = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', killedWorker(scratch)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await expect.poll(() => processesOf(scratch), { timeout: 20_000 }).toHaveLength(3);
    const exit = new Promise((resolve) => worker.once('exit', resolve));
    worker.kill('SIGKILL');
    await exit;
    expect(await processesOf(scratch)).toHaveLength(3);
    const [left] = await readdir(scratch);
    const sandbox = new LocalSandbox({ scratch, ...limits });
    onTestFinished(() => sandbox.close());
    await sandbox.prepare();
    expect(await processesOf(scratch)).toEqual([]);
    expect(await readdir(scratch)).not.toContain(left);
  });
});

const source = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);

/** Two runs, as a user that must obey modes, of a program that takes its own rights away; on standard output what became of it. */
const shutOut = (folder: string) => `
  import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
  import { LocalSandbox } from ${source('sandboxes/local.ts')};
  import { ProgramSimulator } from ${source('simulators/program.ts')};
  import { regularFiles } from ${source('support/files.ts')};
  const folder = ${JSON.stringify(folder)};
  await mkdir(folder + '/outside', { mode: 0o500 });
  const shut = \`
    cd "$FLEET_OUTPUT_DIR"
    echo 1 >first; chmod 444 first
    mkdir -p closed/inner; ln -s ${folder}/outside closed/inner/link; echo 1 >closed/inner/one
    echo text >hidden; chmod 0 hidden
    echo '{"stable":true}' >result.json
    chmod 555 closed/inner; chmod 0 closed .\`;
  const sandbox = new LocalSandbox({ scratch: folder + '/scratch', outputBytes: 1e6, outputFiles: 100 });
  const simulator = new ProgramSimulator({ command: ['sh', '-c', shut], timeoutSeconds: 60 }, sandbox);
  await simulator.prepare();
  const outcomes = [];
  for (const run of ['one', 'two']) {
    const directories = { input: folder + '/' + run + '/input', output: folder + '/' + run + '/output' };
    for (const directory of Object.values(directories)) await mkdir(directory, { recursive: true });
    outcomes.push(await simulator.run({ parameters: {}, slot: 0, directories, signal: new AbortController().signal }));
  }
  const read = await sandbox.use(1, async (cell) => {
    const argv = ['sh', '-c', 'mkdir deep; echo text >deep/hidden; chmod 0 deep/hidden; chmod 0 deep'];
    const command = { argv, timeoutSeconds: 60, signal: new AbortController().signal, results: ['deep/hidden'] };
    return String((await cell.execute(command)).files.get('deep/hidden'));
  });
  await simulator.close();
  const kept = [];
  for await (const path of regularFiles(folder + '/two/output')) if (path !== 'fleet_log.txt') kept.push(path);
  console.log(JSON.stringify({
    outcomes,
    kept: kept.sort(),
    hidden: await readFile(folder + '/two/output/hidden', 'utf8'),
    read,
    left: await readdir(folder + '/scratch'),
    outside: ((await stat(folder + '/outside')).mode & 0o777).toString(8),
  }));
`;

const killedWorker = (scratch: string) => `
  import { LocalSandbox } from ${source('sandboxes/local.ts')};
  const sandbox = new LocalSandbox({ scratch: ${JSON.stringify(scratch)}, outputBytes: 1e6, outputFiles: 100 });
  await sandbox.prepare();
  await sandbox.use(0, (cell) => cell.execute({
    argv: ['sh', '-c', ${JSON.stringify(hangsWithChildren)}],
    timeoutSeconds: 600,
    signal: new AbortController().signal,
  }));
`;

/** The processes whose cell lies below a directory, or whose command line begins with a text. */
async function processesOf(mark: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const found = await Promise.all(
    pids.map(async (pid) => {
      const commandLine = (await read(`/proc/${pid}/cmdline`)).replaceAll('\0', ' ');
      return commandLine.startsWith(mark) || (await read(`/proc/${pid}/environ`)).includes(`FLEET_CELL=${mark}/`);
    }),
  );
  return pids.filter((_, index) => found[index]);
}
