export type State = 'queue' | 'running' | 'error' | 'completed';

/** A point that enters the ledger. */
export interface NewRow {
  hash: string;
  code: string;
  previous_hash: string | null;
  depth: number;
}

/** The end of a point: completed, or an error after its last attempt. Absent numbers and texts are null. */
export interface SettledRow extends NewRow {
  state: 'completed' | 'error';
  stable: boolean | null;
  attempts: number;
  worker: string | null;
  /** ISO 8601, UTC. */
  start_time: string | null;
  end_time: string | null;
  /** Seconds. */
  run_time: number | null;
  error_kind: string | null;
  error_msg: string | null;
  complete_msg: string | null;
  out_path: string | null;
  /** K. */
  temperature: number | null;
  /** bar. */
  pressure: number | null;
  outputs: Record<string, number> | null;
}

/** News that a run began. */
export interface RunningRow {
  hash: string;
  attempts: number;
  worker: string | null;
  start_time: string | null;
}

/** A row as the search itself needs it. */
export interface PointRow extends NewRow {
  state: State;
  stable: boolean | null;
  attempts: number;
  out_path: string | null;
}

/** What a row holds of a point, as it stands, the parameters' columns included: in any column there may be anything. */
export type RawRow = Readonly<Record<string, unknown>>;

/** Which errored rows: all, or those of a kind, or whose message contains a text. */
export interface ErrorChoice {
  kind?: string | undefined;
  message?: string | undefined;
}

export interface Counts {
  states: Record<State, number>;
  stable: number;
  unstable: number;
}

/** The row as the types have it: some databases give 0 and 1 for false and true. */
export function tidy(row: PointRow): PointRow {
  return { ...row, stable: row.stable === null ? null : Boolean(row.stable) };
}
