// Compiles src/ into dist/ and puts the files that are read at run time (the Lua scripts) beside it.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(`${root}/dist`, { recursive: true, force: true });
execFileSync(`${root}/node_modules/.bin/tsc`, ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
cpSync(`${root}/src/queue/lua`, `${root}/dist/queue/lua`, { recursive: true });
for (const file of readdirSync(`${root}/dist/bin`)) {
  if (file.endsWith('.js')) chmodSync(`${root}/dist/bin/${file}`, 0o755);
}
