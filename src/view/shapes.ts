export interface Neighbour {
  hash: string;
  code: string;
  state: string;
}

/** A row as people read it. */
export interface Row {
  hash: string;
  code: string;
  state: string;
  facts: [name: string, value: string][];
}

export interface Sight {
  hash: string;
  code: string;
  row: Row | null;
  /** Parent first. */
  chain: { hash: string; code: string; temperature: number | null }[];
  neighbours: Neighbour[];
}
