import type { AnalysisGroup } from "../../workflows/study/analysis.ts";
import type { Cell, FailedCell } from "../../workflows/study/records.ts";
import type { GridSettings } from "../../workflows/study/settings.ts";

/** What the report of a grid tells of. */
export interface GridReportInput {
  /** Of the grid. */
  name: string;
  /** The command that makes the report again. */
  command: string;
  groups: readonly AnalysisGroup[];
  /** Groups whose runs were tested on different images. */
  mixed: readonly AnalysisGroup[];
  /** What the runs were trained with. */
  settings: GridSettings;
  seeds: readonly number[];
  failed: readonly FailedCell[];
  /** Runs of the grid without a record that can be read: those to do, those at work, those whose record is damaged. */
  missing: readonly (Pick<Cell, "model" | "dataset" | "method" | "seed"> & { state: string })[];
}

/** "simple-cnn on mnist" */
export const groupName = ({ model, dataset }: Pick<AnalysisGroup, "model" | "dataset">): string =>
  `${model} on ${dataset}`;

/** A file's name for each group, none twice: letters, digits and dashes. */
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
