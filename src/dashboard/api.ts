/** What the server tells the page, and what the page may ask: the words that both sides share. */

/** How a point stands, in the order of the snapshot's codes. */
export const kinds = ['queue', 'running', 'error', 'unstable', 'stable'] as const;
export type Kind = (typeof kinds)[number];

/** One number that every point may have. */
export interface Field {
  name: string;
  group: 'parameter' | 'measured' | 'output';
  unit: string;
  /** Over all rows; null where no row has it. */
  min: number | null;
  max: number | null;
  /** Its values in order where they are few, as on a lattice. */
  values: number[] | null;
}

export interface Limit {
  field: string;
  from?: number | undefined;
  to?: number | undefined;
}

/** Which rows a view shows. */
export interface Selection {
  limits: Limit[];
  /** Absent: all. */
  kinds?: Kind[] | undefined;
}

/** One axis of a heat map: each cell's lower and upper end; both are the value itself on a lattice. */
export interface CellAxis {
  field: string;
  from: number[];
  to: number[];
}

/** Counts by kind, then the mean of the colour's field (null: no row has it). */
export interface Cell {
  x: number;
  y: number;
  /** In the order of `kinds`. */
  counts: number[];
  means: (number | null)[];
}

export interface Cells {
  x: CellAxis;
  y: CellAxis;
  cells: Cell[];
  /** Rows in the cells. */
  rows: number;
}

/** A point as a view draws it. */
export interface Dot {
  hash: string;
  kind: number;
  values: (number | null)[];
}

export interface Dots {
  fields: string[];
  dots: Dot[];
  /** Rows that the selection has; more than the dots where they are a sample. */
  rows: number;
}

export interface ErrorGroup {
  kind: string;
  /** The first message of the group. */
  message: string;
  count: number;
}

export interface RoleSight {
  id: string;
  role: string;
  host: string;
  silentMs: number;
  alive: boolean;
  slots: number | null;
  running: string[];
  ended: number | null;
  benched: string | null;
}

/** How old the figures are that come from a service. */
export interface Freshness {
  /** Since the service was last seen; null: never yet. */
  ageMs: number | null;
  /** It should have answered again by now. */
  stale: boolean;
}

/** Where figures come from. */
export const sources = ['redis', 'database'] as const;
export type Source = (typeof sources)[number];

/** What goes on now. */
export interface Now {
  fresh: Record<Source, Freshness>;
  /** ms since 1970. */
  at: number;
  counts: Record<Kind, number>;
  /** Rows read so far; `whole` once every row was read. */
  rows: number;
  whole: boolean;
  /** Rises whenever a row changed. */
  version: number;
  /** Rows have more names of outputs than fields: the most frequent are fields. */
  leavesOutputsOut: boolean;
  /** Points that wait or run, and proposals not yet let in. */
  frontier: number;
  /** Points settled a second, over the last minute; null: not known yet. */
  rate: number | null;
  lists: Record<string, number>;
  leases: number;
  batches: number;
  kill: 'now' | 'drain' | null;
  /** Told by both services lately: stale figures prove no end. */
  done: boolean;
  /** Points kept out by maxPoints. */
  dropped: number;
  damage: string[];
  roles: RoleSight[];
  errors: ErrorGroup[];
  /** What does not answer now. */
  troubles: string[];
}

/** One look at the rate and the frontier. */
export interface Beat {
  at: number;
  rate: number;
  frontier: number;
}

/** What does not change while the server runs. */
export interface About {
  name: string;
  version: string;
  parameters: string[];
  filler: string | null;
  /** Those that the search takes steps in. */
  stepped: string[];
  start: Record<string, number>;
  lattice: string;
  /** Whether actions can be had, with the token. */
  actions: boolean;
}

export type { Neighbour, Row, Sight } from '../view/shapes.js';

/** More files of a run are not listed. */
export const maxRunFiles = 1000;

export interface RunFile {
  path: string;
  bytes: number;
}

/** All that a report holds. */
export interface ReportContent {
  name: string;
  version: string;
  /** ISO 8601. */
  at: string;
  counts: Record<Kind, number>;
  fields: Field[];
  leavesOutputsOut: boolean;
  /** Parameters that the search takes steps in. */
  stepped: string[];
  /** Names of the fields whose means the cells hold. */
  colours: string[];
  maps: Cells[];
  lines: Dots;
  errors: ErrorGroup[];
  configuration: string;
  lattice: string;
}
