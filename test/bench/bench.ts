// npm run bench -- [--size small|published|million] [--rounds N] [--only fleet,latency,…] [--workers N] [--out FILE]
// Prints figures of this machine; nothing is asserted. Each fleet run alternates with the SQL ceiling; the median counts.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { closeScope } from '../support/scope.js';
import { dedupeRate, latency, manySlots, slowRuns } from './behaviour.js';
import { bullmqRate, redisRate, sqlCeiling } from './ceilings.js';
import { type FleetFigures, runFleet, startServices } from './fleet.js';
import { grid } from './searches.js';

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: 'small' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: 'fleet,latency,dedupe,slow' },
    workers: { type: 'string', default: '2' },
    clients: { type: 'string', default: '1' },
    out: { type: 'string', default: 'bench-results/bench.json' },
  },
});
const wanted = new Set(options.only.split(','));
const points = { small: 26_916, published: 152_903, million: 1_219_493 };
const size = options.size as keyof typeof points;

const results: Record<string, unknown> = {
  date: new Date().toISOString(),
  machine: { processor: cpus()[0]?.model, cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30) },
  versions: { node: process.version, redis: versionOf('redis-server'), mariadb: versionOf('mariadbd') },
};

function versionOf(program: string): string {
  const path = `${process.env.PATH}:/usr/sbin`;
  return execFileSync(program, ['--version'], { env: { ...process.env, PATH: path }, encoding: 'utf8' }).trim();
}

function say(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(52)}${figure}\n`);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

const whole = (value: number) => Math.round(value).toLocaleString('en');

async function benchFleet(): Promise<void> {
  const services = await startServices('4G');
  const ceilings: number[] = [];
  const runs: FleetFigures[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    ceilings.push(await sqlCeiling(services));
    runs.push(
      await runFleet(services, {
        config: { ...grid(size), name: `${grid(size).name}-${round}` },
        points: points[size],
        workers: Number(options.workers),
        clients: Number(options.clients),
      }),
    );
  }
  const redis = await redisRate(services);
  const bullmq = await bullmqRate(services);
  const run = runs.toSorted((a, b) => a.pointsPerSecond - b.pointsPerSecond)[
    Math.floor(runs.length / 2)
  ] as FleetFigures;
  const ceiling = median(ceilings);
  results.fleet = { ratio: run.pointsPerSecond / ceiling, ceiling, redis, bullmq, median: run, runs };
  say(`fleet, ${whole(run.points)} points: share of the SQL ceiling`, (run.pointsPerSecond / ceiling).toFixed(2));
  say('  points/s', whole(run.pointsPerSecond));
  say('  SQL ceiling, rows and completions/s', whole(ceiling));
  say('  raw Redis, commands/s', whole(redis));
  say('  BullMQ, no-op jobs/s', whole(bullmq));
  say('  Redis emptied, made whole from SQL, s', run.rebuildSeconds.toFixed(1));
  say('  points/s by tenth of the search', run.tenths.map(whole).join(' '));
  for (const [name, ms] of Object.entries(run.cpuPer1000))
    say(`  CPU ms per 1,000 points: ${name}`, (1000 * ms).toFixed(1));
  for (const [name, [early, late]] of Object.entries(run.memory)) {
    say(`  memory MiB at a tenth, at the end: ${name}`, `${early.toFixed(0)}, ${late.toFixed(0)}`);
  }
  say('  Redis at its peak, bytes per point', run.redisBytesPerPoint.toFixed(0));
}

try {
  if (wanted.has('fleet')) await benchFleet();
  await closeScope();
  if (wanted.has('latency')) {
    const { push, commit } = await latency(await startServices());
    results.latency = { push, commit };
    say('latency, push to start of run, ms: median, p99', `${push.median}, ${push.p99}`);
    say('  one commit alone', `${commit.median.toFixed(1)}, ${commit.p99.toFixed(1)}`);
  }
  if (wanted.has('dedupe')) {
    const rate = await dedupeRate(await startServices());
    results.dedupe = rate;
    say('duplicate proposals refused/s', whole(rate));
  }
  if (wanted.has('slow')) {
    const { running, completed } = await slowRuns(await startServices());
    results.slow = { running, completed };
    say('runs of 100 ms: until SQL says running, ms', `${running.median}, ${running.p99}`);
    say('  until SQL says completed', `${completed.median}, ${completed.p99}`);
  }
  if (wanted.has('slots')) {
    const { slots, busyShare, idleShare } = await manySlots(await startServices());
    results.slots = { slots, busyShare, idleShare };
    say(`${slots} slots, runs of 10 s: busy`, `${(100 * busyShare).toFixed(2)} %`);
    say('  idle: share of one core', `${(100 * idleShare).toFixed(1)} %`);
  }
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(options.out, `${JSON.stringify(results, null, 2)}\n`);
  say('written', options.out);
} finally {
  await closeScope();
}
