import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { OneShot } from './src/roles/oneShot.js';
import { look } from './src/queue/look.js';
import { sightings, readKill } from './src/queue/fleet.js';
import { Patience } from './src/support/patience.js';
import { createLogger } from './src/support/logger.js';
const log = createLogger('x', 'silent');
for (let i = 0; i < 60; i++) {
  const dir = mkdtempSync('/tmp/h-g-s-');
  const server = spawn('redis-server', ['--port', '0', '--unixsocket', `${dir}/r.sock`, '--save', '', '--dir', dir], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise<void>((r) => server.stdout.on('data', (d) => /eady to acc/.test(String(d)) && r()));
  const c = new OneShot({ name: 't', redisUrl: `unix:${dir}/r.sock`, leaseMs: 1000 } as never, log, new Patience(log));
  let state = '';
  const loop = (async () => {
    for (;;) {
      try {
        await Promise.all([look(c.session).then(() => { state = 'looked'; }), sightings(c.session, 1000), readKill(c.session)]);
        state = 'ok';
      } catch (e) { state = 'failed ' + (e as Error).message; return; }
      await new Promise((r) => setTimeout(r, 1 + Math.random() * 20));
    }
  })();
  await new Promise((r) => setTimeout(r, Math.random() * 60));
  server.kill('SIGTERM');
  const done = await Promise.race([loop.then(() => true), new Promise((r) => setTimeout(() => r(false), 15000))]);
  if (!done) console.log(i, 'HUNG', state, c.session.connection.redis.status);
  await c.close();
  rmSync(dir, { recursive: true, force: true });
}
console.log('finished');
process.exit(0);
