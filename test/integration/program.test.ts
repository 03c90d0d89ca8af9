import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LocalSandbox } from '../../src/sandboxes/local.js';
import { createSimulator } from '../../src/simulators/index.js';
import { simulatorSettings } from '../../src/simulators/settings.js';
import type { Outcome } from '../../src/simulators/simulator.js';
import { MachineFault } from '../../src/support/errors.js';
import { attemptWith } from '../support/attempt.js';
import { attemptDirectories, temporaryDirectory } from '../support/directories.js';

const timeoutSeconds = 60;

/** A simulator whose program is a Node script, and the directories of one run of it. */
async function scripted(script: string, timeout = timeoutSeconds) {
  const sandbox = { kind: 'local', scratch: await temporaryDirectory() };
  const settings = simulatorSettings.parse({ kind: 'program', command: [process.execPath, '-e', script], sandbox });
  const simulator = createSimulator(settings, { timeoutSeconds: timeout });
  onTestFinished(() => simulator.close());
  await simulator.prepare();
  const { input, output } = await attemptDirectories();
  return { simulator, scratch: sandbox.scratch, directories: { input, output } };
}

async function outcomeOf(script: string, timeout?: number): Promise<Outcome> {
  const { simulator, directories } = await scripted(script, timeout);
  return simulator.run(attemptWith({ directories }));
}

const writesResult = (text: string) =>
  `require('fs').writeFileSync(process.env.FLEET_OUTPUT_DIR + '/result.json', ${JSON.stringify(text)})`;

describe('a program in the local sandbox', () => {
  it('reads its parameters and its parent, and its result and files are kept', async () => {
    const { simulator, directories } = await scripted(`
      const { readFileSync, writeFileSync, mkdirSync } = require('fs');
      const { FLEET_INPUT_DIR: input, FLEET_PREVIOUS_DIR: previous, FLEET_OUTPUT_DIR: output } = process.env;
      const { O2 } = JSON.parse(readFileSync(input + '/parameters.json', 'utf8'));
      const parent = Number(readFileSync(previous + '/deep/solution', 'utf8'));
      mkdirSync(output + '/deep');
      writeFileSync(output + '/deep/solution', String(parent + O2));
      writeFileSync(output + '/result.json', JSON.stringify({ stable: true, temperature: 288.1, outputs: { flux: -1e12 } }));
      console.log('done');
    `);
    const { previous } = await attemptDirectories();
    await mkdir(join(previous, 'deep'));
    await writeFile(join(previous, 'deep', 'solution'), '0.5');
    const outcome = await simulator.run(attemptWith({ directories: { ...directories, previous } }));
    expect(outcome).toEqual({ kind: 'completed', stable: true, temperature: 288.1, outputs: { flux: -1e12 } });
    expect(await readFile(join(directories.output, 'deep', 'solution'), 'utf8')).toBe('0.71');
    expect(await readFile(join(directories.output, 'fleet_log.txt'), 'utf8')).toBe('done\n');
  });

  it('sees no secret of the worker, and no parent where there is none', async () => {
    process.env.REDIS_URL = 'redis://:secret@127.0.0.1';
    onTestFinished(() => {
      delete process.env.REDIS_URL;
    });
    const { simulator, directories } = await scripted(
      `console.log(Object.keys(process.env).sort().join()); ${writesResult('{"stable":false}')}`,
    );
    await simulator.run(attemptWith({ directories }));
    const log = await readFile(join(directories.output, 'fleet_log.txt'), 'utf8');
    expect(log.trim()).toBe('FLEET_CELL,FLEET_INPUT_DIR,FLEET_OUTPUT_DIR,HOME,LANG,PATH,TMPDIR');
  });

  it.each([
    ['a status other than 0', `console.error('no such gas'); process.exit(3)`, /^exit status 3\nno such gas$/],
    ['a signal', `process.kill(process.pid, 'SIGSEGV')`, /^exit status 139/],
    ['no result', '', /^it left no result.json$/],
    ['a result that is no JSON', writesResult('{"stable": true, "temperature": NaN}'), /not JSON/],
    ['a verdict that is no boolean', writesResult('{"stable": "yes"}'), /wrong at stable: wants true or false/],
    ['a number beyond all bounds', writesResult('{"stable": true, "temperature": 1e400}'), /wrong at temperature/],
    ['an output that is no number', writesResult('{"stable": true, "outputs": {"a": "1"}}'), /wrong at outputs.a/],
    ['a name that nobody knows', writesResult('{"stable": true, "temprature": 1}'), /temprature/],
    [
      'a result without an end',
      `${writesResult(' ')}; require('fs').truncateSync(process.env.FLEET_OUTPUT_DIR + '/result.json', 9e6)`,
      /larger than/,
    ],
  ])('makes %s an error of the program', async (_, script, message) => {
    expect(await outcomeOf(script)).toEqual({
      kind: 'error',
      errorKind: 'program',
      message: expect.stringMatching(message),
    });
  });

  it('kills what takes too long, with all that it started', async () => {
    const { simulator, scratch, directories } = await scripted(hangsWithChildren, 2);
    const outcome = await simulator.run(attemptWith({ directories }));
    expect(outcome).toMatchObject({ kind: 'error', errorKind: 'timeout', message: /^killed after 2 s/ });
    expect(await processesOf(scratch)).toEqual([]);
  });

  it('ends at once and throws the reason when its lease is lost', async () => {
    const { simulator, scratch, directories } = await scripted(hangsWithChildren);
    const lease = new AbortController();
    const run = simulator.run(attemptWith({ directories, signal: lease.signal }));
    await expect.poll(() => processesOf(scratch)).toHaveLength(3);
    lease.abort(new Error('lease lost'));
    await expect(run).rejects.toThrow('lease lost');
    expect(await processesOf(scratch)).toEqual([]);
  });

  it('ends what a run left behind', async () => {
    const { simulator, scratch, directories } = await scripted(
      `require('child_process').spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref();
       ${writesResult('{"stable":true}')}`,
    );
    await simulator.run(attemptWith({ directories }));
    expect(await processesOf(scratch)).toEqual([]);
  });

  it('keeps slots apart and gives each run an empty directory', async () => {
    const { simulator, directories } = await scripted(
      `const { readdirSync, writeFileSync } = require('fs');
       const found = readdirSync('.').concat(readdirSync(process.env.FLEET_OUTPUT_DIR));
       writeFileSync('trace', ''); writeFileSync(process.env.FLEET_OUTPUT_DIR + '/trace', '');
       ${writesResult('{"stable":true}')}; console.log(found.join())`,
    );
    for (const slot of [0, 0, 1]) {
      const { input, output } = await attemptDirectories();
      await simulator.run(attemptWith({ directories: { input, output }, slot }));
      expect(await readFile(join(output, 'fleet_log.txt'), 'utf8')).toBe('input,output\n');
    }
    expect(await readdir(directories.output)).toEqual([]);
  });

  it('blames the machine when the command is not there', async () => {
    const sandbox = { kind: 'local', scratch: await temporaryDirectory() };
    const settings = simulatorSettings.parse({ kind: 'program', command: ['no-such-model'], sandbox });
    const simulator = createSimulator(settings, { timeoutSeconds });
    const run = simulator.run(attemptWith({ directories: await attemptDirectories() }));
    await expect(run).rejects.toThrow(MachineFault);
    await expect(run).rejects.toThrow("This machine cannot start 'no-such-model'");
    await simulator.close();
  });

  it('blames the machine when its scratch directory cannot be made', async () => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    await expect(new LocalSandbox(join(file, 'scratch')).prepare()).rejects.toThrow(MachineFault);
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
    const sandbox = new LocalSandbox(scratch);
    onTestFinished(() => sandbox.close());
    await sandbox.prepare();
    expect(await processesOf(scratch)).toEqual([]);
    expect(await readdir(scratch)).not.toContain(left);
  });
});

/** A program that starts one child in its group and one in a session of its own, and then hangs. */
const hangsWithChildren = `
  const { spawn } = require('child_process');
  spawn('sleep', ['600']);
  spawn('sleep', ['601'], { detached: true });
  console.log('started');
  setInterval(() => {}, 1000);
`;

const killedWorker = (scratch: string) => `
  import { LocalSandbox } from ${JSON.stringify(new URL('../../src/sandboxes/local.ts', import.meta.url).href)};
  const sandbox = new LocalSandbox(${JSON.stringify(scratch)});
  await sandbox.prepare();
  await sandbox.use(0, (cell) => cell.execute({
    argv: [process.execPath, '-e', ${JSON.stringify(hangsWithChildren)}],
    timeoutSeconds: 600,
    signal: new AbortController().signal,
  }));
`;

/** The processes that run in cells below a directory. */
async function processesOf(scratch: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const environments = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')));
  return pids.filter((_, index) => environments[index]?.includes(`FLEET_CELL=${scratch}/`));
}
