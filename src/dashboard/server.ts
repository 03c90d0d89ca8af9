import { readFileSync } from 'node:fs';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { z } from 'zod';
import type { ArtifactStore } from '../artifacts/store.js';
import type { Reader } from '../ledger/reader.js';
import type { Space } from '../space/space.js';
import { MachineFault, messageOf, Unavailable, UsageError } from '../support/errors.js';
import type { Logger } from '../support/logger.js';
import { findPoint, lookAtPoint } from '../view/point.js';
import { describeSight } from '../view/sight.js';
import { type ActionName, type Actions, actionInputs } from './actions.js';
import { type About, kinds, type Now, type Selection } from './api.js';
import type { Follower } from './follower.js';
import { isMeantForHere, pageHeaders, showsToken, WrongTokens } from './guard.js';
import { metricsOf } from './metrics.js';
import type { Pulse } from './pulse.js';
import { addRunFiles } from './runFiles.js';
import { cellsOf, dotsOf } from './views.js';

export interface DashboardParts {
  about: About;
  space: Space;
  follower: Follower;
  pulse: Pulse;
  reader: Reader;
  store: ArtifactStore;
  actions: Actions;
  /** Without one, nothing can be done from the page. */
  token: string | undefined;
  /** The address that it listens on. */
  host: string;
  /** Other names that requests may ask for, in lower case. */
  allowedHosts: readonly string[];
  log: Logger;
}

const assets = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/favicon.svg': ['favicon.svg', 'image/svg+xml'],
} as const;

/** A connection that nothing goes through for so long is closed: whoever reads no more holds no place. */
const idleMs = 60_000;
const mostListeners = 200;
const mostDots = 20_000;
const hashText = z.string().regex(/^[0-9a-f]{32}$/);

const number = z.number().optional();
const selectionSchema = z.strictObject({
  limits: z
    .array(z.strictObject({ field: z.string(), from: number, to: number }))
    .max(100)
    .default([]),
  kinds: z.array(z.enum(kinds)).optional(),
});
const cellsQuery = z.strictObject({
  x: z.string(),
  y: z.string(),
  colour: z.string().optional(),
  selection: z.string().optional(),
});
const dotsQuery = z.strictObject({
  fields: z.string(),
  most: z.coerce.number().int().min(1).max(mostDots).default(1000),
  selection: z.string().optional(),
});

/** The page, what it asks for, health and metrics. It reads; only actions change anything, and they want the token. */
export function buildServer(parts: DashboardParts): FastifyInstance {
  const server = fastify({
    loggerInstance: parts.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    bodyLimit: 64 * 1024,
    connectionTimeout: idleMs,
  });
  server.addHook('onRequest', async (request, reply) => {
    reply.headers(pageHeaders);
    if (!isMeantForHere(request.headers.host, parts.host, parts.allowedHosts)) {
      return reply.code(421).send({ error: 'this server does not answer to that name: --allowed-host adds one' });
    }
  });
  server.setErrorHandler((error, request, reply) => answerError(parts.log, error, request, reply));
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'there is no such page' }));
  for (const [path, [file, type]] of Object.entries(assets)) {
    const content = readFileSync(new URL(`./public/${file}`, import.meta.url));
    server.get(path, (_request, reply) => reply.type(type).send(content));
  }
  addWatching(server, parts);
  addViews(server, parts);
  addPoints(server, parts);
  addActions(server, parts);
  return server;
}

/** What goes on: once, as a stream of events, for health checks and for Prometheus. */
function addWatching(server: FastifyInstance, { about, follower, pulse }: DashboardParts): void {
  server.get('/api/about', () => about);
  server.get('/api/now', () => pulse.now());
  server.get('/api/beats', () => pulse.beats);
  server.get('/api/fields', () => follower.snapshot.fields());
  server.get('/healthz', (_request, reply) => {
    const { troubles } = pulse.now();
    return reply.code(troubles.length === 0 ? 200 : 503).send({ ok: troubles.length === 0, troubles });
  });
  const metrics = metricsOf(about.name, () => pulse.now());
  server.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()));
  let listeners = 0;
  server.get('/api/events', (request, reply) => {
    if (listeners >= mostListeners) return reply.code(503).send({ error: `${mostListeners} pages listen already` });
    listeners++;
    reply.hijack();
    reply.raw.writeHead(200, { ...pageHeaders, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    const tell = (now: Now) => {
      // A page that does not read gets the next look instead of a growing queue.
      if (!reply.raw.writableNeedDrain) reply.raw.write(`data: ${JSON.stringify(now)}\n\n`);
    };
    tell(pulse.now());
    const unlisten = pulse.listen(tell);
    request.raw.on('close', () => {
      listeners--;
      unlisten();
    });
  });
}

/** What the charts show, binned or sampled here. */
function addViews(server: FastifyInstance, { follower }: DashboardParts): void {
  server.get('/api/cells', ({ query }) => {
    const { x, y, colour, selection } = checked(cellsQuery, query);
    return cellsOf(follower.snapshot, [x, y], colour ? [colour] : [], selectionOf(selection));
  });
  server.get('/api/dots', ({ query }) => {
    const { fields, most, selection } = checked(dotsQuery, query);
    return dotsOf(follower.snapshot, fields.split(','), selectionOf(selection), most);
  });
}

function addPoints(server: FastifyInstance, { reader, space, store }: DashboardParts): void {
  server.get('/api/hash', async ({ query }) => {
    const { point } = await findPoint(reader, space, checked(z.strictObject({ code: z.string() }), query).code);
    return { hash: point.hash };
  });
  server.get('/api/points/:hash', async (request) => {
    const { hash } = request.params as { hash: string };
    return describeSight(await lookAtPoint(reader, space, checked(hashText, hash)));
  });
  addRunFiles(
    server,
    store,
    async (hash) => (await findPoint(reader, space, checked(hashText, hash))).row?.out_path ?? null,
  );
}

function addActions(server: FastifyInstance, { actions, token }: DashboardParts): void {
  const wrongTokens = new WrongTokens();
  server.post('/api/actions/:name', async (request, reply) => {
    if (token === undefined)
      return reply.code(403).send({ error: 'this dashboard only shows: it was started without a token' });
    const waitSeconds = wrongTokens.waitSeconds(request.ip);
    if (waitSeconds > 0) {
      const error = `too many wrong tokens from ${request.ip}: try again in ${waitSeconds} s`;
      return reply.code(429).header('retry-after', waitSeconds).send({ error });
    }
    if (!showsToken(request.headers.authorization, token)) {
      wrongTokens.add(request.ip);
      return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'the token is not right' });
    }
    const { name } = request.params as { name: string };
    if (!Object.hasOwn(actionInputs, name)) return reply.code(404).send({ error: 'there is no such action' });
    return { said: await actions.run(name as ActionName, request.body) };
  });
}

function selectionOf(text: string | undefined): Selection {
  if (text === undefined) return { limits: [] };
  try {
    return checked(selectionSchema, JSON.parse(text));
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError('selection: no JSON');
  }
}

function checked<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(`${issue?.path.join('.') || 'the request'}: ${issue?.message}`);
}

function answerError(log: Logger, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (reply.raw.destroyed) return reply; // Who asked has gone.
  if (error instanceof UsageError) return reply.code(400).send({ error: error.message });
  if (error instanceof Unavailable) return reply.code(503).send({ error: error.message });
  if (error instanceof MachineFault) return reply.code(500).send({ error: error.message });
  const { statusCode } = error as { statusCode?: number };
  if (statusCode !== undefined && statusCode < 500) return reply.code(statusCode).send({ error: messageOf(error) });
  log.error({ err: error, url: request.url }, 'a request failed');
  return reply.code(500).send({ error: 'something went wrong here; the log of the dashboard says what' });
}
