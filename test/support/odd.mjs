// Loaded before a worker (`node --import`) that is odd in some way.
//
// ODD: JSON with any of
// - clock: its clock is off by so many milliseconds;
// - block: its event loop stands still for so many milliseconds in its first run;
// - fault: its machine fails every run with that reason, and its probe once it has begun to; as long as the file whileFile is there;
// - faultAt: the code of a point whose run fails on it, though its machine passes the probe;
// - vanish: the code of a point that kills it;
// - lateReply: it learns so many milliseconds late that Redis ended its leases;
// - hangsIn: what of a run never ends: put, take, save or fetch.
// RUNS: a file, a line with the code for each run that begins.
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';

const {
  clock = 0,
  block = 0,
  fault,
  faultAt,
  whileFile,
  vanish,
  lateReply = 0,
  hangsIn,
} = JSON.parse(process.env.ODD ?? '{}');

if (clock !== 0) {
  const { Date: RightDate } = globalThis;
  globalThis.Date = class extends RightDate {
    constructor(...args) {
      super(...(args.length === 0 ? [RightDate.now() + clock] : args));
    }

    static now() {
      return RightDate.now() + clock;
    }
  };
}

if (isMainThread) {
  // Modules of the very program that is started, whose script is one folder below its root.
  const load = (path) => import(new URL(`../${path}.js`, pathToFileURL(process.argv[1])).href);
  const { FolderStore } = await load('artifacts/folder');
  const { Leases } = await load('queue/leases');
  const { LocalSandbox } = await load('sandboxes/local');
  const { ReferenceSimulator } = await load('simulators/reference');
  const { MachineFault } = await load('support/errors');

  const hanging = () => new Promise(() => setInterval(() => appendFileSync(process.env.RUNS, ''), 1000));
  const hang = () => {
    appendFileSync(process.env.RUNS, `${hangsIn}\n`);
    return hanging();
  };
  if (hangsIn === 'save' || hangsIn === 'fetch') FolderStore.prototype[hangsIn] = hang;
  if (hangsIn === 'put' || hangsIn === 'take') {
    const { use } = LocalSandbox.prototype;
    LocalSandbox.prototype.use = function (slot, work) {
      return use.call(this, slot, (cell) => {
        cell[hangsIn] = hang;
        return work(cell);
      });
    };
  }
  const { finish } = Leases.prototype;
  Leases.prototype.finish = async function (...args) {
    const stale = await finish.apply(this, args);
    if (lateReply > 0) await delay(lateReply);
    return stale;
  };
  const { run, prepare } = ReferenceSimulator.prototype;
  let runs = 0;
  const failIfIll = () => {
    if (fault && (whileFile === undefined || existsSync(whileFile))) throw new MachineFault(fault);
  };
  ReferenceSimulator.prototype.prepare = async function (signal) {
    if (runs > 0) failIfIll();
    return prepare.call(this, signal);
  };
  ReferenceSimulator.prototype.run = async function (attempt) {
    if (process.env.RUNS) appendFileSync(process.env.RUNS, `${attempt.code}\n`);
    if (runs++ === 0 && block > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
    failIfIll();
    if (faultAt === attempt.code) throw new MachineFault('a fault that goes with the point');
    if (vanish === attempt.code) process.kill(process.pid, 'SIGKILL');
    return run.call(this, attempt);
  };
}
