/** The file whose existence means that a folder is a run. It is the last file that is written before training. */
export const CONFIG = "config.json";

/** The file that describes the model and the loss terms that a program passed to a run. */
export const GIVEN_FILE = "given.json";

/** A run's copy of the exported model that it trains, and the record of that file. */
export const EXPORTED_FILE = "model.pt2";
export const EXPORTED_RECORD = "model.json";

/** Files that are written before training starts. A folder with only these files contains no results. */
export const BEGINNINGS: readonly string[] = [
  "environment.json",
  "prototypes.safetensors",
  "data.json",
  GIVEN_FILE,
  EXPORTED_FILE,
  EXPORTED_RECORD,
];

/** Files that a run writes while it trains, or that commands write about it. */
export const RESULTS: readonly string[] = [
  "metrics.jsonl",
  "summary.csv",
  "report.html",
  "profile.json",
  "profile-trace.json",
  "evaluation.json",
];

/** Folders, and the names of the files that a run writes in them. Other files in them belong to the user. */
export const FOLDERS: Readonly<Record<string, RegExp>> = {
  checkpoints: /^((last|best|best-before|epoch-\d+)|last-\d+\.state)\.safetensors$/,
  figures: /^epoch-\d+\.png$/,
  tensorboard: /^events\.out\.tfevents\./,
};
