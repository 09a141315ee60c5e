/** A run of the study, with its results on the test images. */
export interface StudyRun {
  model: string;
  dataset: string;
  seed: number;
  part: string;
  variant: string;
  steps: number;
  accuracy: number;
  mapSsim: number;
  coherence: number;
  deadMaps: number;
}

/** The processor time of a step of each kind, in milliseconds, and its ratio to the plain step that was taken next to it. */
export interface StepTime {
  model: string;
  precision: "float32" | "bfloat16";
  batchSize: number;
  /** "plain", or what is guided. */
  kind: string;
  milliseconds: number;
  overPlain: number;
}

export interface Study {
  machine: Readonly<Record<string, string>>;
  common: Readonly<Record<string, unknown>>;
  runs: StudyRun[];
  times: StepTime[];
}
