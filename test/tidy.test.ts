import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const parts = ['queue', 'ledger', 'simulators', 'artifacts'];
/** The rooms of src/, and which other rooms the files of each may import from. */
const mayImport: Record<string, readonly string[]> = {
  support: [],
  space: ['support'],
  // A simulator's settings are its own to describe.
  config: ['support', 'space', 'simulators'],
  queue: ['support', 'space'],
  ledger: ['support', 'space'],
  sandboxes: ['support'],
  simulators: ['support', 'space', 'sandboxes'],
  artifacts: ['support', 'space'],
  audit: ['support', 'space', 'ledger'],
  'roles/common': ['support', 'space', 'queue', 'ledger'],
  'roles/worker': ['support', 'space', 'queue', 'simulators', 'artifacts', 'roles/common'],
  'roles/client': ['support', 'space', 'queue', 'ledger', 'roles/common'],
  // A rebuild settles the reports that are left.
  'roles/master': ['support', 'space', 'queue', 'ledger', 'roles/common', 'roles/client'],
  'roles/commands': ['support', 'space', 'queue', 'ledger', 'artifacts', 'roles/common'],
  view: ['support', 'space', 'queue', 'ledger', 'artifacts', 'roles/common'],
  dashboard: ['support', 'space', ...parts, 'roles/common', 'roles/commands', 'view'],
  cli: [
    ...['support', 'space', 'config', ...parts, 'audit', 'view', 'dashboard'],
    ...['common', 'worker', 'client', 'master', 'commands'].map((room) => `roles/${room}`),
  ],
};

/** Also what scripts/ and tests must not be left with. */
const leftovers = [
  /\b(?:describe|test|it)\.(?:only|skip|todo)\b/,
  /\b(?:TODO|FIXME|XXX|HACK)\b/,
  /\bas any\b(?! \w)/,
  /@ts-(?:ignore|nocheck|expect-error)/,
  /\bdebugger;/,
];

const longestFile = 400;
const scriptHeadings = ['Promise:', 'KEYS:', 'ARGV:', 'Returns:'];
const keylessCommands = ['TIME', 'PING', 'INFO', 'SCAN'];
/** How many of a command's arguments are keys, where it is not the first alone. */
const keyCounts: Record<string, number> = {
  ...{ DEL: Number.POSITIVE_INFINITY, UNLINK: Number.POSITIVE_INFINITY, EXISTS: Number.POSITIVE_INFINITY },
  ...{ LMOVE: 2, BLMOVE: 2, RPOPLPUSH: 2, RENAME: 2, RENAMENX: 2, SMOVE: 2, COPY: 2 },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const self = 'test/tidy.test.ts';

function files(folder: string, ...endings: string[]): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)));
  return found.map(({ parentPath, name }) => relative(root, join(parentPath, name)));
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** The files of src/ that a file names: in imports, types too, and in the addresses of threads that it starts. */
function imports(file: string): string[] {
  const named = read(file).matchAll(/(?:\bfrom|\bimport|\bimport\(|new URL\()\s*'(\.[^']+)\.js'/g);
  return [...named].map(([, path]) => `${normalize(join(dirname(file), path ?? ''))}.ts`);
}

const sources = files('src', '.ts');
const scripts = files('src', '.lua');
/** What several scripts share, by name. */
const scriptParts = new Set(scripts.map((file) => partOf(read(file))));
const graph = new Map(sources.map((file) => [file, imports(file)]));
/** `src/queue/keys.ts` is in the room `queue`, `src/roles/worker/run.ts` in `roles/worker`. */
const folderOf = (file: string) => {
  const [, folder = '', next = ''] = file.split('/');
  return folder === 'roles' ? `${folder}/${next}` : folder;
};

/** What the build bundles for browsers: nothing of it, nor what it imports, may stay outside the bundle at run time. */
const pageFolder = 'src/dashboard/page/';
const pageEntries = [`${pageFolder}page.ts`, `${pageFolder}report.ts`];

function reached(from: readonly string[]): Set<string> {
  const found = new Set(from);
  for (const file of found) for (const next of graph.get(file) ?? []) found.add(next);
  return found;
}

describe('the source', () => {
  test.each(sources)('imports only what its layer may: %s', (file) => {
    const allowed = mayImport[folderOf(file)];
    expect(allowed, `src/${folderOf(file)} is no folder of the architecture`).toBeDefined();
    const others = imports(file).filter((other) => folderOf(other) !== folderOf(file));
    expect(others.filter((other) => !allowed?.includes(folderOf(other)))).toEqual([]);
  });

  test('has no circle of imports', () => {
    expect(sources.filter((file) => reached(graph.get(file) ?? []).has(file))).toEqual([]);
  });

  test('is reached from the entry points, all of it', () => {
    const used = reached(['src/cli/main.ts', ...pageEntries]);
    expect(sources.filter((file) => !used.has(file))).toEqual([]);
  });

  test('imports only packages that an installation or a bundle brings', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json'));
    const foreign = sources.flatMap((file) => {
      const brought = file.startsWith(pageFolder) ? devDependencies : dependencies;
      const named = [...read(file).matchAll(/^(?:import|export|\}).* from '((?:@[^/']+\/)?[^./'][^/']*)/gm)];
      return named.flatMap(([, name = '']) => (name.startsWith('node:') || Object.hasOwn(brought, name) ? [] : [name]));
    });
    expect(foreign).toEqual([]);
  });

  test('keeps what people look through away from the roles that serve', () => {
    const serving = ['worker/worker', 'client/sqlClient', 'master/sqlClientMaster'].map(
      (role) => `src/roles/${role}.ts`,
    );
    const used = [...reached(serving)];
    expect(used.filter((file) => /^src\/(?:dashboard|view)\//.test(file) || file === 'src/ledger/reader.ts')).toEqual(
      [],
    );
  });

  test('gives browsers nothing of the server but the words that both share', () => {
    const others = sources.filter((file) => file.startsWith(pageFolder)).flatMap(imports);
    const outside = others.filter((file) => !file.startsWith(pageFolder) && file !== 'src/dashboard/api.ts');
    expect(outside).toEqual([]);
  });

  test('has no file that wants to be two', () => {
    expect([...sources, ...scripts].filter((file) => read(file).split('\n').length > longestFile)).toEqual([]);
  });

  test('has no leftovers, nor have tests and scripts', () => {
    const texts = [...sources, ...scripts, ...files('test', '.ts'), ...files('scripts', '')].filter(
      (file) => file !== self,
    );
    expect(texts.filter((file) => leftovers.some((pattern) => pattern.test(read(file))))).toEqual([]);
  });
});

describe.each(scripts.filter((file) => !scriptParts.has(basename(file, '.lua'))))('the Redis script %s', (file) => {
  const text = whole(file);

  test('says what it promises, takes and returns', () => {
    const header = /^(?:--.*\n)*/.exec(text)?.[0] ?? '';
    expect(scriptHeadings.filter((heading) => !header.includes(`-- ${heading}`))).toEqual([]);
  });

  test('is used', () => {
    const name = basename(file, '.lua');
    const callers = sources.filter((source) => folderOf(source) === 'queue');
    expect(callers.some((source) => new RegExp(`'${name}'|\\.${name}\\(`).test(read(source)))).toBe(true);
  });

  test('runs no command that a role would not miss at its start', () => {
    const commands = [...text.matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command]) => command);
    const checked = read('src/queue/lua/rights.lua');
    expect(commands.filter((command) => !checked.includes(`note('${command}'`))).toEqual([]);
  });

  test('touches only keys that it was given', () => {
    const given = givenKeys(text);
    const calls = [...text.matchAll(/redis\.p?call\('(\w+)'(?=,?([^()]*))/g)];
    expect(calls).toHaveLength([...text.matchAll(/call\(/g)].length);
    const foreign = calls.flatMap(([, command = '', rest = '']) =>
      keysOf(command, rest).filter((key) => !given.has(key)),
    );
    expect(foreign).toEqual([]);
  });
});

/** The part that a script says it uses. */
function partOf(text: string): string | undefined {
  return /^-- Uses: +(\w+)$/m.exec(text)?.[1];
}

/** A script, and the part that it uses with what it calls that with. */
function whole(file: string): string {
  const text = read(file);
  const name = partOf(text);
  if (name === undefined) return text;
  const part = read(join(dirname(file), `${name}.lua`));
  const call = new RegExp(`\\b${name}\\(([^)]*)\\)`);
  const [names, values] = [part, text].map((code) => call.exec(code)?.[1]?.split(', ') ?? []);
  const body = names?.reduce(
    (code, name, index) => code.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), values?.[index] ?? ''),
    part,
  );
  return `${text}${body}`;
}

/** Those of a command's arguments that are keys. */
function keysOf(command: string, rest: string): string[] {
  const count = keylessCommands.includes(command) ? 0 : (keyCounts[command] ?? 1);
  return rest
    .split(',')
    .slice(0, count)
    .map((key) => key.trim());
}

/** What stands for a key in a script: `KEYS[…]`, and the locals that are nothing but one. */
function givenKeys(text: string): Set<string> {
  const keys = new Set(text.match(/KEYS\[[^\]]+\]/g));
  for (const [, names = ''] of text.matchAll(/local ([\w\s,]+?)=(?:\s*KEYS\[\d+\],)*\s*KEYS\[\d+\]$/gm)) {
    for (const name of names.split(',')) keys.add(name.trim());
  }
  return keys;
}
