import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ArtifactStore } from '../artifacts/store.js';
import { maxRunFiles } from './api.js';

/** Listings and downloads at once; each download may be of any size and take any time. */
const maxAtOnce = 16;
const retryAfterSeconds = 5;

/** The files of runs: listed by the store itself and streamed through, a few at once, nothing kept on this machine. */
export function addRunFiles(
  server: FastifyInstance,
  store: ArtifactStore,
  outPathOf: (hash: string) => Promise<string | null>,
): void {
  let busy = 0;
  /** Takes a place until the answer is sent or its reader has gone; the signal tells which has come. Undefined: none is free. */
  const takePlace = (reply: FastifyReply): AbortSignal | undefined => {
    if (busy >= maxAtOnce) {
      reply.code(503).header('retry-after', retryAfterSeconds);
      reply.send({ error: `${maxAtOnce} requests for files are being answered: try again in ${retryAfterSeconds} s` });
      return undefined;
    }
    busy++;
    const gone = new AbortController();
    const { socket } = reply.request.raw;
    const free = () => {
      if (gone.signal.aborted) return;
      socket.off('close', free);
      busy--;
      gone.abort();
    };
    reply.raw.once('close', free);
    // An answer that waits behind others on one connection does not close when the connection does.
    socket.once('close', free);
    if (socket.destroyed) free();
    return gone.signal;
  };
  server.get<{ Params: { hash: string } }>('/api/points/:hash/files', async ({ params }, reply) => {
    if (!takePlace(reply)) return reply;
    const outPath = await outPathOf(params.hash);
    return (outPath !== null && (await store.list(outPath, maxRunFiles))) || [];
  });
  server.get<{ Params: { hash: string; '*': string } }>(
    '/api/points/:hash/files/*',
    { exposeHeadRoute: false },
    async ({ params }, reply) => {
      const gone = takePlace(reply);
      if (!gone) return reply;
      const [outPath, path] = [await outPathOf(params.hash), params['*']];
      const file = outPath === null ? undefined : await store.open(outPath, path, gone);
      if (!file) return reply.code(404).send({ error: 'there is no such file' });
      return reply.headers(downloadHeaders(path, file.bytes)).send(file.content);
    },
  );
}

/** Whatever a program wrote is saved, never shown: it could be a page with scripts. */
function downloadHeaders(path: string, bytes: number): Record<string, string> {
  const name = (path.split('/').at(-1) ?? 'file').replaceAll(/[^\w.-]/g, '_');
  return {
    'content-type': 'application/octet-stream',
    'content-length': String(bytes),
    'content-disposition': `attachment; filename="${name}"`,
    'content-security-policy': "default-src 'none'; sandbox",
  };
}
