import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { wholeFiles } from '../../src/sandboxes/docker/archive.js';

/** What an engine sends for some files. */
function archiveOf(files: Record<string, string>): Readable {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, content);
  archive.finalize();
  return Readable.from(archive);
}

describe('an archive', () => {
  it('gives the files that are wanted, and keeps no others', async () => {
    const files = await wholeFiles(archiveOf({ one: '1', 'two/other': '2', three: '3' }), ['three', 'one', 'two'], 10);
    expect([...files].map(([name, content]) => [name, content.toString()])).toEqual([
      ['one', '1'],
      ['three', '3'],
    ]);
  });
});
