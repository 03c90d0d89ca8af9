import type { RedisServer } from './redis.js';

/** How often each point entered each of the lists, as Redis itself saw it. */
export class Wire {
  private readonly entries = new Map<string, Map<string, number>>();

  /** Listens to every command of that Redis from now on. */
  static async tapped(server: RedisServer): Promise<Wire> {
    const wire = new Wire();
    const monitor = await server.connect().monitor();
    monitor.on('monitor', (_time: string, [command = '', key = '', ...elements]: string[]) => {
      if (/^[lr]push$/i.test(command)) wire.note(key, elements);
    });
    return wire;
  }

  /** Code → how often it entered any of these keys. */
  entered(...keys: readonly string[]): Map<string, number> {
    const total = new Map<string, number>();
    for (const key of keys) {
      for (const [code, count] of this.entries.get(key) ?? []) total.set(code, (total.get(code) ?? 0) + count);
    }
    return total;
  }

  private note(key: string, elements: readonly string[]): void {
    const codes = this.entries.get(key) ?? new Map<string, number>();
    this.entries.set(key, codes);
    for (const element of elements) {
      const code = element.split(';', 1)[0] as string;
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  }
}
