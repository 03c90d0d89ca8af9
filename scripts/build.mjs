// Compiles src/ into dist/, bundles the dashboard's page, and puts beside them what is read at run time (the Lua scripts).
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, readdirSync, rmSync } from 'node:fs';
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
for (const file of readdirSync(`${root}/dist/bin`)) {
  if (file.endsWith('.js')) chmodSync(`${root}/dist/bin/${file}`, 0o755);
}
