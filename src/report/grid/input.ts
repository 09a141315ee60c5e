import type { AnalysisGroup, FailedRun, GridRun, GridSettings } from "../../workflows/internal.ts";

/** The input of `gridReport`. */
export interface GridReportInput {
  /** The name of the grid. */
  name: string;
  /** The command that makes the report again. */
  command: string;
  groups: readonly AnalysisGroup[];
  /** Groups whose runs were tested on different images. */
  mixed: readonly AnalysisGroup[];
  /** The train options of the runs. */
  settings: GridSettings;
  seeds: readonly number[];
  failed: readonly FailedRun[];
  /** The runs of the grid without a readable record: not started, in progress, or with a damaged record. */
  missing: readonly (Pick<GridRun, "model" | "dataset" | "method" | "seed"> & { state: string })[];
}

/** "simple-cnn on mnist" */
export const groupName = ({ model, dataset }: Pick<AnalysisGroup, "model" | "dataset">): string =>
  `${model} on ${dataset}`;

/** A unique file name for each group, of letters, digits and dashes. */
export function slugs(groups: readonly AnalysisGroup[]): Map<AnalysisGroup, string> {
  const taken = new Set<string>();
  return new Map(
    groups.map((group) => {
      const word = slug(`${group.model}-${group.dataset}`);
      let name = word;
      for (let count = 2; taken.has(name); count++) name = `${word}-${count}`;
      taken.add(name);
      return [group, name];
    }),
  );
}

function slug(text: string): string {
  const word = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return word.slice(0, 80) || "group";
}
