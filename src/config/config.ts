import type { z } from 'zod';
import type { Parameter } from '../space/space.js';
import { UsageError } from '../support/errors.js';
import { withSecretFile } from '../support/urls.js';
import { definitionOf } from './definition.js';
import { type KeyPath, type Problem, problemsWith, prototypeKeys, valueAt } from './explain.js';
import { neighbourProblems, parameterProblems } from './parameters.js';
import { configurationFile } from './schema.js';
import { type Environment, environmentSource, fileSource, flagSource, merge, secretsIn, type Tree } from './sources.js';
import { resolveUrl } from './url.js';

export { definitionOf, type Fingerprint, fingerprintDifference, fingerprintOf } from './definition.js';
export { secretFrom } from './sources.js';

/** A validated configuration, with defaults filled in and every path absolute. */
export type Config = Omit<z.output<typeof configurationFile>, 'parameters'> & {
  /** In the order of the parameter code. */
  parameters: readonly Parameter[];
  /** Where the file lies. */
  folder: string;
};

export interface ConfigSources {
  /** The file; ATMOS_FLEET_CONFIG, then `atmos-fleet.yaml`, where absent. */
  path?: string | undefined;
  /** Values from the command line in the file's own shape, e.g. `{ redis: { url: 'unix:/run/redis.sock' } }`. */
  flags?: Tree | undefined;
  env: Environment;
}

const urlPaths = [
  ['redis', 'url'],
  ['database', 'url'],
  ['artifacts', 'url'],
] as const;

/** The configuration file that a command line names, else the environment, else the default. */
export function configurationPath(path: string | undefined, env: Environment): string {
  return path ?? (env.ATMOS_FLEET_CONFIG || 'atmos-fleet.yaml');
}

/**
 * Reads and validates the whole configuration: flags beat environment, environment beats file, file beats defaults.
 * Relative paths in a file (`sqlite:./x.db`, `file:./results`, `unix:./redis.sock`) set out from the file's folder, others
 * from the working directory. Throws `UsageError` with every problem, one a line.
 */
export function loadConfig({ path, flags = {}, env }: ConfigSources): Config {
  const file = fileSource(configurationPath(path, env));
  const sources = [flagSource(flags), environmentSource(env), file];
  refuse(prototypeKeys(file.values).map(({ path, message }) => `${file.label(path)}: ${message}`));
  const merged = sources.reduceRight<Tree>((below, { values }) => merge(below, values), {});
  const sourceOf = (at: KeyPath) => sources.find(({ values }) => valueAt(values, at) !== undefined) ?? file;

  const explain = ({ path, message }: Problem) => `${sourceOf(path).label(path)}: ${message}`;

  const values = [...problemsWith(configurationFile, merged), ...parameterProblems(merged.parameters)];
  refuse([...values.map(explain), ...secretsIn(sources)]);
  const { parameters: block, ...rest } = configurationFile.parse(merged);
  const parameters = Object.entries(block).map(([name, entry]) => ({ name, ...entry }));
  refuse(neighbourProblems(definitionOf({ parameters, ...rest })).map(explain));
  for (const [section, key] of urlPaths) {
    rest[section][key] = resolveUrl(rest[section][key], sourceOf([section, key]).folder);
  }
  rest.database.url = throughCloudSql(rest.database);
  for (const section of ['redis', 'database'] as const) {
    const file = sourceOf([section, 'url']).secretFile?.(section);
    // Only URLs of servers have passwords.
    if (file !== undefined && rest[section].url.includes('://'))
      rest[section].url = withSecretFile(rest[section].url, file);
  }
  return { ...rest, parameters, folder: file.folder };
}

/** The instance travels in the URL, as a socket does. */
function throughCloudSql({ url, cloudSql }: { url: string; cloudSql?: string | undefined }): string {
  if (cloudSql === undefined) return url;
  if (!url.startsWith('mysql:'))
    throw new UsageError('database.cloudSql: wants a database.url that begins with mysql:');
  const through = new URL(url);
  through.searchParams.set('cloudSql', cloudSql);
  return through.href;
}

function refuse(lines: readonly string[]): void {
  if (lines.length > 0) throw new UsageError(lines.join('\n'));
}
