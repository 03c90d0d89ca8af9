import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import { type Problem, verify } from '../../src/audit/verify.js';
import { ledgerOf } from '../../src/cli/ledger.js';
import { searchOf } from '../../src/cli/wire.js';
import { loadConfig } from '../../src/config/config.js';
import type { Look } from '../../src/queue/look.js';
import type { ExpectedRow } from '../support/floodFill.js';
import { temporaryFolder } from '../support/folder.js';
import type { MariadbServer } from '../support/mariadb.js';
import type { RedisServer } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { openSqlite } from '../support/sqlite.js';
import { type Observer, startDist } from './dist.js';

/** Where a test's searches live. */
export interface Services {
  redis: RedisServer;
  mariadb: MariadbServer;
}

interface Row {
  code: string;
  hash: string;
  state: string;
  stable: number | null;
}

/** What is counted at the end of a search. */
export interface Findings {
  /** Points of the flood fill that have no row. */
  lost: number;
  /** Rows beyond the first of a point. */
  duplicated: number;
  /** Points that have a row, but are none of the flood fill. */
  extra: number;
  /** Rows that do not say of their point what the flood fill does. */
  wrong: number;
  /** Changes of settled rows. */
  changed: number;
  /** Runs that came to an end. */
  runs: number;
  /** Those among them of points that had been run before. */
  repeated: number;
}

/** One search of a test: its configuration, its keys and its table, looked at from outside. */
export class TestSearch {
  readonly redis: Redis;
  readonly configPath: string;
  readonly folder = temporaryFolder();
  private sql: Connection | undefined;
  private file: ReturnType<typeof openSqlite> | undefined;
  private readonly sqlite: string | undefined;
  private observer: Observer | undefined;

  constructor(
    readonly name: string,
    readonly services: Services,
    config: object,
    urls: { redis?: string; database?: string } = {},
  ) {
    this.configPath = join(this.folder, 'atmos-fleet.yaml');
    this.sqlite = /^sqlite:(.*)/.exec(urls.database ?? '')?.[1];
    writeFileSync(
      this.configPath,
      stringify({
        name,
        redis: { url: urls.redis ?? services.redis.url },
        database: { url: urls.database ?? services.mariadb.url, table: this.table },
        artifacts: { url: 'file:./runs' },
        ...config,
      }),
    );
    this.redis = new Redis(services.redis.socket, {
      lazyConnect: true,
      maxRetriesPerRequest: null,
      replyMapping: 'legacy',
    });
    this.redis.on('error', () => undefined);
    atEnd(() => this.close());
  }

  get table(): string {
    return this.name.replaceAll(/\W/g, '_');
  }

  readonly key = (part: string): string => `{${this.name}}:${part}`;

  /** On a connection of the test's own, made anew after it broke. */
  async query<T = RowDataPacket>(text: string): Promise<T[]> {
    if (this.sqlite !== undefined) return this.queryFile(this.sqlite, text);
    if (!this.sql) {
      this.sql = await createConnection(this.services.mariadb.url);
      this.sql.on('error', () => undefined); // The next query tells.
    }
    try {
      const [rows] = await this.sql.query(text);
      return rows as T[];
    } catch (error) {
      this.sql?.destroy();
      this.sql = undefined;
      throw error;
    }
  }

  /** From here on, whoever changes a settled row leaves a trace. */
  async watchSettledRows(): Promise<void> {
    const columns = [
      'state',
      'stable',
      'attempts',
      'worker',
      'end_time',
      'out_path',
      'temperature',
      'previous_hash',
      'depth',
    ];
    const [equals, begin, end] = this.sqlite === undefined ? ['<=>', 'if', 'then'] : ['is', 'when', 'begin'];
    const same = columns.map((column) => `old.${column} ${equals} new.${column}`).join(' and ');
    await this.query(
      `create table if not exists ${this.table}_changes (hash char(32), was varchar(16), became varchar(16))`,
    );
    await this.query(
      `create trigger if not exists ${this.table}_watch before update on ${this.table} for each row
         ${begin} old.state in ('completed', 'error') and not (${same}) ${end}
           insert into ${this.table}_changes values (old.hash, old.state, new.state);
         end ${this.sqlite === undefined ? 'if' : ''}`,
    );
  }

  async look(): Promise<Look> {
    this.observer ??= (await startDist()).observe(this.configPath);
    return this.observer.look();
  }

  /** Whether there is a table for its points. */
  async isThere(): Promise<boolean> {
    const [tables, name] =
      this.sqlite === undefined ? ['information_schema.tables', 'table_name'] : ['sqlite_master', 'name'];
    return (await this.query(`select 1 from ${tables} where ${name} = '${this.table}'`)).length > 0;
  }

  /** Whether a master has opened it. */
  async isOpen(): Promise<boolean> {
    return (await this.look()).generation !== undefined;
  }

  async hasRow(hash: string): Promise<boolean> {
    return (await this.query(`select 1 from ${this.table} where hash = '${hash}'`)).length > 0;
  }

  /** Whether nothing is left to do: no list, lease or batch holds anything, the closing pass is over, no row is live. */
  async done(): Promise<boolean> {
    const { closed } = await this.look();
    if (!closed) return false;
    const [count] = await this.query<{ settled: string; rows: number }>(
      `select sum(state in ('error', 'completed')) settled, count(*) \`rows\` from ${this.table}`,
    );
    return count !== undefined && count.rows > 0 && Number(count.settled) === count.rows;
  }

  /** The file in which each run is told. */
  get runsFile(): string {
    return join(this.folder, 'runs.log');
  }

  /**
   * The end of a search: the rows of the flood fill, each as its verdict says, none changed after it was settled, and `verify` finds
   * it complete. Answers what was counted.
   */
  async expectExactly(expected: readonly ExpectedRow[]): Promise<Findings> {
    const rows = await this.query<Row>(`select code, hash, state, stable from ${this.table}`);
    const changes = await this.query(`select * from ${this.table}_changes`);
    const found = { ...compare(rows, expected), changed: changes.length, ...this.countRuns() };
    expect(found).toMatchObject({ lost: 0, duplicated: 0, extra: 0, wrong: 0, changed: 0 });
    expect(await this.verify()).toEqual({ complete: true, problems: [] });
    return found;
  }

  private countRuns(): Pick<Findings, 'runs' | 'repeated'> {
    const text = existsSync(this.runsFile) ? readFileSync(this.runsFile, 'utf8') : '';
    const hashes = text.match(/^\w{32}/gm) ?? [];
    return { runs: hashes.length, repeated: hashes.length - new Set(hashes).size };
  }

  private async verify(): Promise<{ complete: boolean; problems: Problem[] }> {
    const config = loadConfig({ path: this.configPath, env: {} });
    const { space, maxPoints } = searchOf(config);
    const ledger = ledgerOf(config);
    const problems: Problem[] = [];
    try {
      const { complete } = await verify(ledger, space, maxPoints, (problem) => problems.push(problem));
      return { complete, problems };
    } finally {
      await ledger.close();
    }
  }

  /** How it stands, for a test that failed. */
  async told(): Promise<string> {
    const keys = await this.redis.keys(`${this.key('').replaceAll(/[[\]{}]/g, '\\$&')}*`);
    const rows = await this.query(`select code, state, stable, attempts, worker from ${this.table}`).catch(String);
    const settings = await this.redis.hgetall(this.key('search'));
    return JSON.stringify({ look: await this.look(), keys, settings, rows }, null, 1);
  }

  private queryFile<T>(path: string, text: string): T[] {
    this.file ??= openSqlite(path);
    const statement = this.file.prepare(text);
    if (statement.reader) return statement.all() as T[];
    statement.run();
    return [];
  }

  private async close(): Promise<void> {
    this.redis.disconnect();
    await this.observer?.close();
    this.sql?.destroy();
    this.file?.close();
  }
}

/** Holds rows against the flood fill, by their codes: the hash is the table's own key. */
function compare(rows: readonly Row[], expected: readonly ExpectedRow[]) {
  const there = new Set(rows.map(({ code }) => code));
  const verdicts = new Map(expected.map(({ code, hash, stable }) => [code, `${hash} completed ${Number(stable)}`]));
  const differs = ({ code, hash, state, stable }: Row) => verdicts.get(code) !== `${hash} ${state} ${stable}`;
  return {
    lost: expected.filter(({ code }) => !there.has(code)).length,
    duplicated: rows.length - there.size,
    extra: [...there].filter((code) => !verdicts.has(code)).length,
    wrong: rows.filter((row) => verdicts.has(row.code) && differs(row)).length,
  };
}
