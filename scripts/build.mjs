// Compiles src/ into dist/, bundles the dashboard's page, copies what is read at run time (the Lua scripts), and writes the entry
// points in dist/bin/.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(`${root}/dist`, { recursive: true, force: true });
execFileSync(`${root}/node_modules/.bin/tsc`, ['-p', 'src'], { cwd: root, stdio: 'inherit' });
cpSync(`${root}/src/queue/lua`, `${root}/dist/queue/lua`, { recursive: true });
const page = `${root}/src/dashboard/page`;
const publicFolder = `${root}/dist/dashboard/public`;
buildSync({
  entryPoints: [`${page}/page.ts`, `${page}/report.ts`],
  outdir: publicFolder,
  ...{ bundle: true, minify: true, format: 'esm', target: 'es2022', legalComments: 'eof', logLevel: 'warning' },
});
for (const file of ['index.html', 'report.html', 'page.css', 'favicon.svg'])
  cpSync(`${page}/${file}`, `${publicFolder}/${file}`);
// One entry point per command, and one that takes the command's name.
const { commandNames } = await import(`${root}/dist/cli/main.js`);
mkdirSync(`${root}/dist/bin`);
for (const name of ['atmos-fleet', ...commandNames]) {
  const args = name === 'atmos-fleet' ? 'process.argv.slice(2)' : `['${name}', ...process.argv.slice(2)]`;
  const text = `#!/usr/bin/env node\nimport { main } from '../cli/main.js';\n\nawait main(${args});\n`;
  writeFileSync(`${root}/dist/bin/${name}.js`, text, { mode: 0o755 });
}
