// Loaded before a worker (`node --import`): what it runs for each point is a shape in place of the built-in model, and each run
// is told in a file.
//
// SHAPE: the shape's name; absent: the built-in model. RUNS: the file, a line `hash token` for each run that ends. A test whose own
// process runs points of many searches says in `runsFile` which file is that of what it starts.
// KEEP_FILES: set where runs are to leave a file.
import { AsyncLocalStorage } from 'node:async_hooks';
import { appendFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { isMainThread } from 'node:worker_threads';
import { ReferenceSimulator } from '../../test-output/program/dist/simulators/reference.js';
import { stableIn } from './shapes.mjs';

const { SHAPE, RUNS, KEEP_FILES } = process.env;
export const runsFile = new AsyncLocalStorage();
const { run, prepare } = ReferenceSimulator.prototype;

if (isMainThread) {
  ReferenceSimulator.prototype.prepare = function () {
    if (KEEP_FILES) Object.defineProperty(this, 'keepsFiles', { value: true });
    return prepare.call(this);
  };
  ReferenceSimulator.prototype.run = async function (attempt) {
    const outcome = await run.call(this, attempt);
    if (attempt.directories) await writeFile(`${attempt.directories.output}/state.txt`, attempt.code);
    const runs = RUNS ?? runsFile.getStore();
    if (runs) appendFileSync(runs, `${attempt.hash} ${attempt.token}\n`);
    return SHAPE ? { ...outcome, stable: stableIn(SHAPE, Object.values(attempt.parameters)) } : outcome;
  };
}
