import type { Argv } from 'yargs';
import { UsageError } from '../support/errors.js';
import type { Address } from '../support/probes.js';

interface TextOption<T> {
  type: 'string';
  describe: string;
  requiresArg: boolean;
  coerce: (value: string) => T;
}

/** A switch that may have a value, as the seed's lines have: `-r 1`, `-r`: on; `-r 0`: off. */
export function switchOption(name: string, describe: string): TextOption<boolean> {
  return {
    type: 'string',
    describe,
    requiresArg: false,
    coerce: (value) => {
      if (['', '1', 'true', 'on', 'yes'].includes(value)) return true;
      if (['0', 'false', 'off', 'no'].includes(value)) return false;
      throw new UsageError(`-${name}: found '${value}', wants 1 (on), 0 (off) or nothing (on)`);
    },
  };
}

/** A switch that destroys: on a terminal it is asked about, unless it has a value or `--yes` is given. */
export function riskySwitch(name: string, describe: string): TextOption<boolean | 'asks'> {
  const plain = switchOption(name, describe);
  return { ...plain, coerce: (value) => (value === '' ? 'asks' : plain.coerce(value)) };
}

/** The option beside a `riskySwitch`. */
export const yesOption = switchOption('-yes', 'with -r: do not ask on a terminal, as -r 1');

/** A whole number from a bound up. */
export function wholeOption(name: string, from: number, describe: string): TextOption<number> {
  return {
    type: 'string',
    describe,
    requiresArg: true,
    coerce: (value) => {
      const number = Number(value);
      if (/^\d{1,9}$/.test(value) && number >= from) return number;
      throw new UsageError(`${name}: found '${value}', wants a whole number from ${from}`);
    },
  };
}

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** How every command has a point named. */
export const pointGrammar =
  'values that differ from the start (O2=0.3,H2=8.1e-08; the filler is computed), a code or a hash';

/** A length of time in ms: `500ms`, `30s`, `60m`, `2h`; a bare number is seconds. */
export function durationOption(name: string, describe: string): TextOption<number> {
  return {
    type: 'string',
    describe,
    requiresArg: true,
    coerce: (value) => {
      const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value) ?? [];
      if (number !== undefined) return Number(number) * (unitMs[unit] as number);
      throw new UsageError(`${name}: found '${value}', wants a time such as 500ms, 30s, 60m or 2h`);
    },
  };
}

/** Where a role is watched: a port of this machine's loopback, or `host:port`. */
export function addressOption(name: string, describe: string): TextOption<Address> {
  return { type: 'string', describe, requiresArg: true, coerce: (value) => parseAddress(name, value) };
}

export function parseAddress(name: string, value: string): Address {
  const [, inBrackets, plain, port] = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d{1,5})$/.exec(value) ?? [];
  const number = Number(port ?? Number.NaN);
  if (number >= 1 && number <= 65_535) return { host: inBrackets ?? plain ?? '127.0.0.1', port: number };
  throw new UsageError(`${name}: found '${value}', wants a port such as 9464, or host:port such as 0.0.0.0:9464`);
}

/** The option of roles that can be watched. */
export function withMetrics<T>(yargs: Argv<T>) {
  return yargs.option(
    'metrics-port',
    addressOption('--metrics-port', 'serve /healthz, /readyz and /metrics on this port, or host:port'),
  );
}

/** The options that every command has. */
export function withCommon(yargs: Argv) {
  return yargs
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'the configuration file (else ATMOS_FLEET_CONFIG, else atmos-fleet.yaml)',
    })
    .option('log-level', {
      choices: ['debug', 'info', 'warn', 'error', 'silent'] as const,
      describe: 'how much is told on standard error (info)',
    });
}
