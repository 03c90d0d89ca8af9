const headerBytes = 8;
const stderrMark = 2;

/** Takes the engine's framing off the output of a command: what is left are the bytes of both streams, as they came. */
export class Demultiplexer {
  private readonly header = Buffer.alloc(headerBytes);
  private headerSize = 0;
  private frameLeft = 0;

  constructor(private readonly onBytes: (bytes: Buffer, stream: 'stdout' | 'stderr') => void) {}

  add(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.frameLeft === 0) {
        const copied = chunk.copy(this.header, this.headerSize, at);
        at += copied;
        this.headerSize += copied;
        if (this.headerSize < headerBytes) return;
        this.headerSize = 0;
        this.frameLeft = this.header.readUInt32BE(4);
      } else {
        const bytes = chunk.subarray(at, at + this.frameLeft);
        this.onBytes(bytes, this.header[0] === stderrMark ? 'stderr' : 'stdout');
        at += bytes.length;
        this.frameLeft -= bytes.length;
      }
    }
  }
}
