import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { CRC32C } from '@google-cloud/storage';

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: object | Buffer;
}

const pageSize = 3;

/** A server that speaks as much of Cloud Storage's JSON API as the program uses, with one bucket, in memory. */
export class BucketServer {
  readonly objects = new Map<string, Buffer>();
  /** Answers a request in the server's place, or cuts its connection after so many bytes; undefined: the server answers. */
  disturb: (request: IncomingMessage, url: URL) => Answer | { cutAfter: number } | undefined = () => undefined;
  /** What is allowed in the whole bucket. */
  permissions = ['create', 'get', 'list', 'delete'].map((verb) => `storage.objects.${verb}`);
  /** A folder in which all is allowed, e.g. `prefix/`. */
  ownFolder: string | undefined;
  private readonly uploads = new Map<string, { name: string; content: Buffer }>();
  private readonly server: Server;

  constructor(readonly bucket: string) {
    this.server = createServer((request, response) => {
      this.serve(request, response).catch(() => response.destroy());
    });
  }

  async start(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return this.address;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private get address(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.address);
    const disturbed = this.disturb(request, url);
    if (disturbed && 'cutAfter' in disturbed) {
      const upload = this.uploads.get(url.searchParams.get('upload_id') ?? '');
      const content = await firstBytes(request, disturbed.cutAfter);
      if (upload) upload.content = content;
      return void response.destroy();
    }
    const { status, headers = {}, body } = disturbed ?? this.answer(request, url, await buffer(request));
    if (Buffer.isBuffer(body)) response.writeHead(status, headers).end(body);
    else
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body && JSON.stringify(body));
  }

  private answer({ method, headers }: IncomingMessage, url: URL, body: Buffer): Answer {
    const [, upload, bucket, rest = ''] = /^(\/upload)?(?:\/storage\/v1)?\/b\/([^/]+)\/(.*)$/.exec(url.pathname) ?? [];
    if (bucket !== this.bucket) return missing(`The bucket ${bucket} does not exist.`);
    if (rest !== 'iam/testPermissions' && !url.searchParams.has('upload_id')) {
      const verb = upload ? 'create' : rest === 'o' ? 'list' : method === 'DELETE' ? 'delete' : 'get';
      const name =
        url.searchParams.get(rest === 'o' && !upload ? 'prefix' : 'name') ?? decodeURIComponent(rest.slice(2));
      if (!this.allows(verb, name)) return refusal(403, `storage.objects.${verb} is denied`);
    }
    if (upload)
      return method === 'POST'
        ? this.startUpload(url, headers['content-type'] ?? '', body)
        : this.continueUpload(url, headers['content-range'] ?? '', body);
    if (rest === 'iam/testPermissions') return { status: 200, body: { permissions: this.permissions } };
    if (rest === 'o') return this.list(url);
    const name = decodeURIComponent(rest.slice('o/'.length));
    const content = this.objects.get(name);
    if (!content) return missing(`No such object: ${name}`);
    if (method === 'DELETE') this.objects.delete(name);
    if (method === 'DELETE') return { status: 204 };
    if (url.searchParams.get('alt') !== 'media') return { status: 200, body: this.describe(name) };
    return { status: 200, headers: { 'x-goog-hash': `crc32c=${crc32c(content)}` }, body: content };
  }

  private allows(verb: string, name: string): boolean {
    const isOwn = this.ownFolder !== undefined && name.startsWith(this.ownFolder);
    return isOwn || this.permissions.includes(`storage.objects.${verb}`);
  }

  private startUpload(url: URL, contentType: string, body: Buffer): Answer {
    const name = url.searchParams.get('name') ?? '';
    if (url.searchParams.get('uploadType') === 'resumable') {
      const id = `${this.uploads.size}`;
      this.uploads.set(id, { name, content: Buffer.of() });
      const { pathname } = url;
      return { status: 200, headers: { location: `${this.address}${pathname}?upload_id=${id}` }, body: {} };
    }
    // Two parts: what the object is called, then its bytes.
    const boundary = /boundary="?([^";]+)/.exec(contentType)?.[1] ?? '';
    const second = body.indexOf(`--${boundary}`, boundary.length + 2);
    const start = body.indexOf('\r\n\r\n', second) + 4;
    return this.finish(name, body.subarray(start, body.lastIndexOf(`\r\n--${boundary}--`)));
  }

  private continueUpload(url: URL, range: string, body: Buffer): Answer {
    const upload = this.uploads.get(url.searchParams.get('upload_id') ?? '');
    if (!upload) return missing('No such upload');
    const [, start, total] = /^bytes (\d+|\*)[-\d*]*\/(\d+|\*)$/.exec(range) ?? [];
    if (start !== '*') upload.content = Buffer.concat([upload.content.subarray(0, Number(start)), body]);
    const { name, content } = upload;
    const whole = total === '*' ? start !== '*' : content.length === Number(total);
    if (whole) return this.finish(name, content);
    return { status: 308, headers: content.length > 0 ? { range: `bytes=0-${content.length - 1}` } : {} };
  }

  private finish(name: string, content: Buffer): Answer {
    this.objects.set(name, Buffer.from(content));
    return { status: 200, body: this.describe(name) };
  }

  private list({ searchParams }: URL): Answer {
    const prefix = searchParams.get('prefix') ?? '';
    const from = Number(searchParams.get('pageToken') ?? 0);
    const names = [...this.objects.keys()].filter((name) => name.startsWith(prefix)).sort();
    const items = names.slice(from, from + pageSize).map((name) => this.describe(name));
    const next = from + pageSize < names.length ? { nextPageToken: String(from + pageSize) } : {};
    return { status: 200, body: { kind: 'storage#objects', items, ...next } };
  }

  private describe(name: string): object {
    const content = this.objects.get(name) ?? Buffer.of();
    return {
      kind: 'storage#object',
      name,
      bucket: this.bucket,
      generation: '1',
      metageneration: '1',
      size: String(content.length),
      crc32c: crc32c(content),
    };
  }
}

async function firstBytes(request: IncomingMessage, count: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let bytes = 0; bytes < count; ) {
    const [piece] = (await once(request, 'data')) as [Buffer];
    pieces.push(piece);
    bytes += piece.length;
  }
  request.pause();
  return Buffer.concat(pieces).subarray(0, count);
}

export function refusal(status: number, message: string): Answer {
  return { status, body: { error: { code: status, message, errors: [{ message, reason: 'refused' }] } } };
}

function missing(message: string): Answer {
  return refusal(404, message);
}

function crc32c(content: Buffer): string {
  const sum = new CRC32C();
  sum.update(content);
  return sum.toString();
}
