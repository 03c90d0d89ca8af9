import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

const digestOf = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** A registry that holds one small image, `model:1`, and shows it to one user only. */
export async function registryWith(username: string, password: string): Promise<{ server: Server; address: string }> {
  const files = pack();
  files.entry({ name: 'model' }, 'one file');
  files.finalize();
  const layer = await buffer(files);
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { User: '1000' },
      rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    }),
  );
  const zipped = gzipSync(layer);
  const type = 'application/vnd.docker.distribution.manifest.v2+json';
  const describe = (mediaType: string, content: Buffer) => ({
    mediaType,
    size: content.length,
    digest: digestOf(content),
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: describe('application/vnd.docker.container.image.v1+json', config),
      layers: [describe('application/vnd.docker.image.rootfs.diff.tar.gzip', zipped)],
    }),
  );
  const contents = new Map([
    ['/v2/model/manifests/1', manifest],
    [`/v2/model/manifests/${digestOf(manifest)}`, manifest],
    [`/v2/model/blobs/${digestOf(config)}`, config],
    [`/v2/model/blobs/${digestOf(zipped)}`, zipped],
  ]);
  const allowed = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const server = createServer(({ headers, method, url = '' }, response) => {
    if (headers.authorization !== allowed) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="models"' }).end();
      return;
    }
    const content = url === '/v2/' ? Buffer.from('{}') : contents.get(url);
    if (!content) {
      response.writeHead(404).end();
      return;
    }
    const contentType = content === manifest ? type : 'application/octet-stream';
    response.writeHead(200, {
      'content-type': contentType,
      'content-length': content.length,
      'docker-content-digest': digestOf(content),
    });
    response.end(method === 'HEAD' ? undefined : content);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}
