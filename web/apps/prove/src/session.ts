/** What every runtime of this page does alike. Knows none of them. */

/** An artefact and how to run it. Addresses are relative to the page's. */
export interface Task {
  readonly runtime: string;
  /** The file that the artefact is opened by. */
  readonly main: string;
  readonly inputName: string;
  /** Of boxes, scores and labels. */
  readonly outputNames: readonly [string, string, string];
  /** For one inference; only runtimes on wasm have more than one. */
  readonly threads: number;
}

/** (1, height, width, 3) RGB. */
export interface Picture {
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly height: number;
  readonly width: number;
}

/** Values in row order, as the graph gives them. */
export interface Outputs {
  readonly boxes: number[];
  readonly scores: number[];
  readonly labels: number[];
}

export interface Session {
  /** What the artefact really runs on, in words. */
  readonly device: string;
  run(picture: Picture): Promise<Outputs>;
}
