import { createHash } from 'node:crypto';
import { Queue, Worker } from 'bullmq';
import { Ledger, type SettledRow } from '../../src/ledger/ledger.js';
import { Connection } from '../../src/queue/connection.js';
import { isoNow } from '../../src/support/clock.js';
import { type Services, unixUrl } from './fleet.js';

const names = ['O2', 'N2', 'H2O', 'CH4', 'CO2', 'H2'];
const rowsAStatement = 1000;

/** Points per second that one connection writes: a row and its completion each, 1,000 a statement. */
export async function sqlCeiling({ mariadb }: Services, points = 100_000): Promise<number> {
  const ledger = new Ledger(await mariadb.createDatabase(), 'parameterspace', names);
  await ledger.create('{}');
  const pages = Array.from({ length: points / rowsAStatement }, (_, page) =>
    Array.from({ length: rowsAStatement }, (_, i) => row(page * rowsAStatement + i)),
  );
  const began = performance.now();
  for (const rows of pages) await ledger.insertQueued(rows);
  for (const rows of pages) await ledger.settle(rows);
  const seconds = (performance.now() - began) / 1000;
  await ledger.close();
  return points / seconds;
}

function row(number: number): SettledRow {
  const hash = createHash('md5').update(String(number)).digest('hex');
  return {
    hash,
    code: `0.21,0.7772982887,0.0123,1.63e-06,0.0004,${number / 1e8 + 0.1}`,
    previous_hash: hash,
    depth: 3,
    state: 'completed',
    stable: true,
    attempts: 1,
    worker: 'bench-1-abcdef',
    start_time: isoNow(),
    end_time: isoNow(),
    run_time: 0.001,
    error_kind: null,
    error_msg: null,
    complete_msg: 'stable, 288.1 K',
    out_path: null,
    temperature: 288.1,
    pressure: 1.01325,
    outputs: { opticalDepth: 0.85 },
  };
}

/** Commands per second that Redis takes from one connection, a thousand at a time. */
export async function redisRate({ redis }: Services, commands = 300_000): Promise<number> {
  const connection = new Connection(unixUrl(redis.url), 'bench');
  const began = performance.now();
  for (let sent = 0; sent < commands; sent += 1000) {
    await connection.ask((client) => {
      const pipeline = client.pipeline();
      for (let i = 0; i < 1000; i++) pipeline.lpush('bench', '0.21,0.7772982887,0.0123,1.63e-06,0.0004,8.13e-08');
      return pipeline.exec();
    });
  }
  const seconds = (performance.now() - began) / 1000;
  await connection.ask((client) => client.unlink('bench'));
  await connection.close();
  return commands / seconds;
}

/** No-op jobs per second of BullMQ on the same Redis: a queue alone, no ledger, no dedupe, no discovery. */
export async function bullmqRate({ redis }: Services, jobs = 50_000): Promise<number> {
  const connection = { path: redis.url.replace(/^unix:/, ''), maxRetriesPerRequest: null };
  const queue = new Queue('noop', { connection });
  const page = Array.from({ length: 1000 }, () => ({ name: 'point', data: {}, opts: { removeOnComplete: true } }));
  const began = performance.now();
  for (let added = 0; added < jobs; added += page.length) await queue.addBulk(page);
  let done = 0;
  await new Promise<void>((resolve) => {
    const workers = [1, 2].map(() => new Worker('noop', async () => undefined, { connection, concurrency: 200 }));
    for (const worker of workers) {
      worker.on('completed', () => {
        done++;
        if (done === jobs) Promise.all(workers.map((each) => each.close())).then(() => resolve());
      });
    }
  });
  const seconds = (performance.now() - began) / 1000;
  await queue.obliterate({ force: true });
  await queue.close();
  return jobs / seconds;
}
