import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { type Bucket, type File, Storage } from '@google-cloud/storage';
import { MachineFault, messageOf, Unavailable, Unstorable } from '../support/errors.js';
import { onDisk, regularFiles } from '../support/files.js';
import { metadataFile, parseMetadata } from './metadata.js';
import {
  type ArtifactStore,
  firstFiles,
  isInsideRun,
  isRunOf,
  type OpenFile,
  runPath,
  runPathOf,
  type StoredFile,
  type StoredRun,
} from './store.js';

/** Files from this size on are uploaded so that a second try goes on where the first one broke off, bytes. */
const resumableFrom = 8 * 1024 * 1024;
/** Longest name of an object, in UTF-8. */
const maxNameBytes = 1024;
const transfersAtOnce = 4;
const readsAtOnce = 16;
/** Longest time that an operation is tried again for, s. */
const patience = 120;
const longestPause = 16;
/** Longest time of one try, s, beside what its bytes take at the slowest rate that is borne, bytes/s. */
const longestTry = 60;
const slowest = 100_000;
const needed = ['storage.objects.create', 'storage.objects.get', 'storage.objects.list', 'storage.objects.delete'];

/**
 * Cloud Storage, with Application Default Credentials; `STORAGE_EMULATOR_HOST` names another server of its JSON API.
 * A run's metadata is written last: without it, whatever else there is, the run is not there.
 */
export class BucketStore implements ArtifactStore {
  private readonly bucket: Bucket;
  private readonly root: string;

  /** `prefix` stands before all names; empty for none. */
  constructor(
    bucket: string,
    prefix: string,
    name: string,
    private readonly patienceSeconds = patience,
  ) {
    this.bucket = openBucket(bucket);
    this.root = posix.join(prefix, name);
  }

  async check(): Promise<void> {
    const url = `gs://${this.bucket.name}`;
    const [allowed] = await this.attempt(`asking what is allowed in ${url}`, () =>
      this.bucket.iam.testPermissions(needed),
    );
    const missing = needed.filter((permission) => !allowed[permission]);
    if (missing.length === 0) return;
    try {
      await this.tryAll();
    } catch (error) {
      if (!(error instanceof MachineFault)) throw error;
      const message = `This machine's account lacks ${missing.join(', ')} in ${url}, and in its folder ${this.root}`;
      throw new MachineFault(message, { cause: error });
    }
  }

  /** Does once all that runs are stored by. Rights in one folder of a bucket do not show when the bucket is asked. */
  private async tryAll(): Promise<void> {
    const trying = `trying what is allowed in gs://${posix.join(this.bucket.name, this.root)}`;
    const file = this.bucket.file(posix.join(this.root, `.check-${randomUUID()}`));
    const query = { prefix: `${this.root}/`, maxResults: 1, autoPaginate: false };
    await this.attempt(trying, () => file.save('', { resumable: false }));
    await this.attempt(trying, () => this.bucket.getFiles(query));
    await this.attempt(trying, () => file.download());
    await this.attempt(trying, () => file.delete());
  }

  async save(directory: string, hash: string, token: string, signal?: AbortSignal): Promise<string> {
    const path = posix.join(this.root, runPath(hash, token));
    const upload = (name: string) =>
      this.upload(join(directory, name), this.objectOf(posix.join(path, objectName(name))), signal);
    await drain(mapped(withoutMetadata(directory), transfersAtOnce, upload));
    await upload(metadataFile);
    return `gs://${posix.join(this.bucket.name, path)}`;
  }

  private objectOf(name: string): File {
    if (Buffer.byteLength(name) <= maxNameBytes) return this.bucket.file(name);
    throw new Unstorable(`the name of a file in Cloud Storage would be longer than ${maxNameBytes} bytes: ${name}`);
  }

  /** May be tried again: the name is one attempt's own, so what it holds is always the same. */
  private async upload(from: string, to: File, signal?: AbortSignal): Promise<void> {
    const storing = `storing files in gs://${this.bucket.name}`;
    const { size } = await onDisk('reading the files of a run', () => stat(from));
    const resumable = size >= resumableFrom;
    const [uri] = resumable ? await this.attempt(storing, () => to.createResumableUpload(), signal) : [];
    const milliseconds = Math.ceil(1000 * (longestTry + size / slowest));
    const inTime = () => AbortSignal.any([AbortSignal.timeout(milliseconds), ...(signal ? [signal] : [])]);
    await this.attempt(
      storing,
      () =>
        pipeline(createReadStream(from), to.createWriteStream({ resumable, ...(uri !== undefined && { uri }) }), {
          signal: inTime(),
        }),
      signal,
    );
  }

  async fetch(outPath: string, directory: string, signal?: AbortSignal): Promise<boolean> {
    const prefix = this.prefixOf(outPath);
    if (prefix === undefined) return false;
    const [files] = await this.attempt(this.reading, () => this.bucket.getFiles({ prefix }), signal);
    if (!files.some(({ name }) => name === prefix + metadataFile)) return false;
    await drain(
      mapped(files, transfersAtOnce, async (file) => {
        const inside = pathOf(file.name.slice(prefix.length));
        if (inside === '' || inside.split('/').includes('..')) return;
        const destination = join(directory, inside);
        await onDisk('writing the files of a run', () => mkdir(dirname(destination), { recursive: true }));
        await this.attempt(this.reading, () => file.download({ destination }), signal);
      }),
    );
    return true;
  }

  async list(outPath: string, max: number): Promise<StoredFile[] | undefined> {
    const prefix = this.prefixOf(outPath);
    if (prefix === undefined) return undefined;
    const [isThere] = await this.attempt(this.reading, () => this.bucket.file(prefix + metadataFile).exists());
    return isThere ? firstFiles(this.filesBelow(prefix), max) : undefined;
  }

  async open(outPath: string, path: string, signal?: AbortSignal): Promise<OpenFile | undefined> {
    const prefix = this.prefixOf(outPath);
    if (prefix === undefined || !isInsideRun(path)) return undefined;
    const file = this.bucket.file(prefix + objectName(path));
    const bytes = await this.attempt(this.reading, () => sizeOf(file), signal);
    if (bytes === undefined) return undefined;
    const content = new PassThrough();
    // Whoever reads the content meets its error; the pipeline ends both sides whichever ends first.
    pipeline(file.createReadStream(), content, { ...(signal && { signal }) }).catch(() => {});
    return { bytes, content };
  }

  async close(): Promise<void> {}

  /** What the names of a run's objects begin with. */
  private prefixOf(outPath: string): string | undefined {
    const path = runPathOf(outPath);
    return path === undefined ? undefined : `${posix.join(this.root, path)}/`;
  }

  private get reading(): string {
    return `reading files from gs://${this.bucket.name}`;
  }

  private async *filesBelow(prefix: string): AsyncGenerator<StoredFile> {
    for (let pageToken: string | undefined; ; ) {
      const query = { prefix, autoPaginate: false, ...(pageToken !== undefined && { pageToken }) };
      const [files, next] = await this.attempt(this.reading, () => this.bucket.getFiles(query));
      for (const { name, metadata } of files) {
        const path = pathOf(name.slice(prefix.length));
        if (isInsideRun(path)) yield { path, bytes: Number(metadata.size) };
      }
      pageToken = (next as { pageToken?: string } | undefined)?.pageToken;
      if (pageToken === undefined) return;
    }
  }

  private attempt<T>(doing: string, operation: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return attempt(doing, operation, this.patienceSeconds, signal);
  }
}

/** Undefined: there is no such object. */
async function sizeOf(file: File): Promise<number | undefined> {
  try {
    const [{ size }] = await file.getMetadata();
    return Number(size);
  } catch (error) {
    if ((error as { code?: unknown }).code === 404) return undefined;
    throw error;
  }
}

/** A file's path as Cloud Storage takes it, which has no line ends in names; `pathOf` is its inverse. */
function objectName(path: string): string {
  return path.replace(/[\r\n]|%(?=0A|0D|25)/g, encodeURIComponent);
}

function pathOf(objectName: string): string {
  return objectName.replace(/%(?:0A|0D|25)/g, decodeURIComponent);
}

/** The runs of that search below a prefix, and those of others as such; an empty one means the whole bucket. */
export async function* runsInBucket(bucketName: string, prefix: string, name: string): AsyncGenerator<StoredRun> {
  const bucket = openBucket(bucketName);
  const reading = `reading metadata from gs://${bucketName}`;
  const files: AsyncIterable<File> = bucket.getFilesStream(prefix === '' ? {} : { prefix: `${prefix}/` });
  try {
    yield* mapped(metadataOnly(files), readsAtOnce, async (file): Promise<StoredRun> => {
      const path = posix.dirname(file.name);
      const outPath = `gs://${bucketName}/${path}`;
      if (!isRunOf(name, path.slice(prefix === '' ? 0 : prefix.length + 1))) return { outPath, foreign: true };
      const [content] = await attempt(reading, () => file.download());
      try {
        return { outPath, metadata: parseMetadata(content.toString()) };
      } catch (error) {
        return { outPath, problem: messageOf(error) };
      }
    });
  } catch (error) {
    throw bucketFault(reading, error);
  }
}

/** The library's own retries are off: they bear neither every failure nor a limit of time. */
function openBucket(name: string): Bucket {
  return new Storage({ timeout: longestTry * 1000, retryOptions: { autoRetry: false, maxRetries: 0 } }).bucket(name);
}

async function* withoutMetadata(directory: string): AsyncGenerator<string> {
  for await (const name of regularFiles(directory)) if (name !== metadataFile) yield name;
}

async function* metadataOnly(files: AsyncIterable<File>): AsyncGenerator<File> {
  for await (const file of files) {
    const inRun = posix.basename(file.name) === metadataFile && runPathOf(posix.dirname(file.name)) !== undefined;
    if (inRun) yield file;
  }
}

/** What `work` makes of each item, in their order, a few at once. */
async function* mapped<Item, Made>(
  items: Iterable<Item> | AsyncIterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Made>,
): AsyncGenerator<Made> {
  const pending: Promise<Made>[] = [];
  for await (const item of items) {
    const made = work(item);
    made.catch(() => {}); // told when its turn comes
    pending.push(made);
    if (pending.length >= atOnce) yield (await pending.shift()) as Made;
  }
  for (const made of pending) yield await made;
}

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

/** Tries again, after longer and longer pauses, what fails because the service does. */
async function attempt<T>(
  doing: string,
  operation: () => Promise<T>,
  patienceSeconds = patience,
  signal?: AbortSignal,
): Promise<T> {
  const end = performance.now() + patienceSeconds * 1000;
  for (let pause = 0.5; ; pause = Math.min(pause * 2, longestPause)) {
    signal?.throwIfAborted();
    try {
      return await operation();
    } catch (error) {
      signal?.throwIfAborted();
      const fault = bucketFault(doing, error);
      if (!(fault instanceof Unavailable) || performance.now() + pause * 1000 > end) throw fault;
    }
    await delay(pause * 1000 * (0.5 + Math.random() / 2), undefined, { signal });
  }
}

const diskCalls = new Set(['open', 'read', 'write', 'stat', 'mkdir']);
/** Refusals that say come again: too slow, a conflict, a session that is over, a condition, too much. */
const passing = new Set([408, 409, 410, 412, 429]);

/** Who is at fault: this machine where its account or its disk is, otherwise the service, which may come back. */
function bucketFault(doing: string, error: unknown): Error {
  if (error instanceof MachineFault || error instanceof Unavailable || error instanceof TypeError) return error;
  const { code, status, syscall } = error as { code?: unknown; status?: unknown; syscall?: unknown };
  const answer = Number(code ?? status); // the library's uploads that can be resumed have the latter
  const message = `Cloud Storage failed while ${doing}: ${messageOf(error)}`;
  const refused = answer === 401 || answer === 403 || /credentials/i.test(message);
  if (refused) {
    return new MachineFault(
      `${message}. Give this machine an account that may use the bucket (Application Default Credentials)`,
      { cause: error },
    );
  }
  const final = answer >= 400 && answer < 500 && !passing.has(answer);
  const lasting = final || (typeof syscall === 'string' && diskCalls.has(syscall));
  return lasting ? new MachineFault(message, { cause: error }) : new Unavailable(message, { cause: error });
}
