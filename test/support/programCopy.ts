import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { copyFolder, root } from './program.js';

const require = createRequire(join(root, 'package.json'));

/** What most roles load as they start, and the files within that somebody asks for by name. */
const packages: Record<string, readonly string[]> = {
  dockerode: [],
  ioredis: [],
  knex: ['lib/dialects/mysql2/index.js', 'lib/dialects/better-sqlite3/index.js'],
  mysql2: [],
  pino: [],
  yaml: [],
  zod: [],
};
/** Drivers that knex could use, compiled modules, and what is bundled by itself. */
const others = ['better-sqlite3', 'mariadb', 'mysql', 'oracledb', 'pg', 'pg-query-stream', 'sqlite3', 'tedious'];
const external = [...others, 'cpu-features', '*.node', ...Object.keys(packages)];

/** Runs a bundle as node runs a module of CommonJS, but with what V8 compiled before. Named `all.cjs` beside it. */
const loader = `
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { constants, Script } = require('node:vm');
const [filename, cache] = [__dirname + '/all.js', __dirname + '/all.cache'];
const script = new Script('(function (exports, require, module, __filename, __dirname) {' + readFileSync(filename, 'utf8') + '})', {
  filename,
  cachedData: existsSync(cache) ? readFileSync(cache) : undefined,
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
script.runInThisContext()(exports, require, module, filename, __dirname);
if (process.env.KEEP_COMPILED) process.on('exit', () => writeFileSync(cache, script.createCachedData()));
`;

/**
 * Makes a copy of the built program for the tests, with each of the larger dependencies beside it as one file, compiled before: a
 * role, which loads and compiles some six hundred files otherwise, starts in less CPU time. The program itself is as it is shipped.
 */
export async function copyProgram(): Promise<void> {
  rmSync(copyFolder, { recursive: true, force: true });
  mkdirSync(copyFolder, { recursive: true });
  symlinkSync(join(root, 'src'), join(copyFolder, 'src')); // for source maps
  for (const part of ['dist', 'package.json']) cpSync(join(root, part), join(copyFolder, part), { recursive: true });
  for (const [name, files] of Object.entries(packages))
    await bundle(name, files, join(copyFolder, 'node_modules', name));
  for (const role of ['status', 'worker']) {
    const path = join(copyFolder, 'dist', 'bin', `${role}.js`);
    execFileSync(process.execPath, [path, '--help'], { env: { ...process.env, KEEP_COMPILED: '1' } });
  }
}

async function bundle(name: string, files: readonly string[], folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const entries = ['', ...files.map((file) => `/${file}`)].map((path) => `"${path}": require("${name}${path}")`);
  buildSync({
    stdin: { contents: `module.exports = { ${entries.join(', ')} };`, resolveDir: root },
    outfile: join(folder, 'all.js'),
    ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node20', logLevel: 'error' },
    external: external.filter((other) => other !== name),
  });
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  const part = (path: string) => `const all = require('./all.cjs');\nmodule.exports = all['${path}'];\n`;
  write('all.cjs', loader);
  write('index.cjs', part(''));
  for (const [i, file] of files.entries()) write(`${i}.cjs`, part(`/${file}`));
  write('index.mjs', await namesOf(name));
  const within = files.map((file, i) => [`./${file}`, `./${i}.cjs`]);
  const exports = { '.': { import: './index.mjs', require: './index.cjs' }, ...Object.fromEntries(within) };
  write('package.json', JSON.stringify({ name, exports }));
}

/** A module that exports what the package does when it is imported. */
async function namesOf(name: string): Promise<string> {
  const imported = (await import(name)) as Record<string, unknown>;
  const required = require(name) as Record<string, unknown>;
  const names = Object.keys(imported).filter((key) => key !== 'default' && key in required && /^[\w$]+$/.test(key));
  const constants = names.map((key, i) => `const n${i} = all.${key};`).join(' ');
  const exported = names.map((key, i) => `n${i} as ${key}`).join(', ');
  const standard = imported.default === required ? 'all' : 'all.default';
  return `import all from './index.cjs';\n${constants}\nexport default ${standard};\nexport { ${exported} };\n`;
}
