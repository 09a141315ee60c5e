import type { AnalysedMethod, AnalysisGroup, MethodKind } from "../../workflows/internal.ts";

/** A table of the report, in the form from which the page, the CSV and the LaTeX are made. */
export interface ReportTable {
  /** The name of its files. */
  name: string;
  caption: string;
  note: string;
  columns: TableColumn[];
  sections: TableSection[];
}

export interface TableColumn {
  head: string;
  better: "higher" | "lower" | null;
  /** The names of its columns in the CSV. */
  csv: string[];
}

/** The methods of a model on a data set. */
export interface TableSection {
  model: string;
  dataset: string;
  rows: TableRow[];
}

export interface TableRow {
  method: string;
  kind: MethodKind;
  /** The number of finished runs, and of all runs. */
  done: number;
  runs: number;
  cells: TableCell[];
}

/** The number of a row's finished runs: "3", or "2 of 3". */
export const seedsOf = ({ done, runs }: Pick<TableRow, "done" | "runs">): string =>
  done === runs ? String(done) : `${done} of ${runs}`;

export interface TableCell {
  /** The text on the page, with " ± " between mean and deviation. */
  text: string;
  /** A number in full precision for each column of the CSV; null if it is missing. */
  csv: (number | null)[];
  /** Whether it is the best of its section, among the methods that see no masks. */
  best: boolean;
}

/** A column before it is filled: how its value is read and written. */
export interface ColumnPlan extends TableColumn {
  cell(method: AnalysedMethod, group: AnalysisGroup): Omit<TableCell, "best">;
  /** The number that the methods are ranked by; null if it is missing. */
  rank(method: AnalysedMethod): number | null;
  /** A sentence on values that are missing or are not over all images; null if there is nothing to say. */
  gaps?(groups: readonly AnalysisGroup[]): string | null;
}

/** A table before it is filled. */
export interface TablePlan extends Pick<ReportTable, "name" | "caption" | "note"> {
  columns: readonly ColumnPlan[];
}

/** Fills a table. Columns without a value and groups without a row are left out. Null if nothing is left. */
export function fillTable({ columns, ...texts }: TablePlan, groups: readonly AnalysisGroup[]): ReportTable | null {
  const isThere = (column: ColumnPlan) =>
    groups.some((group) =>
      group.methods.some((method) => column.cell(method, group).csv.some((value) => value !== null)),
    );
  const kept = columns.filter(isThere);
  if (kept.length === 0) return null;
  const sections = groups.map((group) => ({
    ...{ model: group.model, dataset: group.dataset },
    rows: rowsOf(group, kept).filter(({ cells }) => cells.some(({ csv }) => csv.some((value) => value !== null))),
  }));
  const gaps = columns.flatMap((column) => column.gaps?.(groups) ?? []);
  return {
    ...texts,
    note: [texts.note, ...new Set(gaps)].join(" "),
    columns: kept.map(({ head, better, csv }) => ({ head, better, csv })),
    sections: sections.filter(({ rows }) => rows.length > 0),
  };
}

function rowsOf(group: AnalysisGroup, columns: readonly ColumnPlan[]): TableRow[] {
  const best = columns.map((column) => bestOf(group, column));
  return group.methods.map((method) => ({
    ...{ method: method.method, kind: method.kind, done: method.done.length, runs: method.done.length + method.failed },
    cells: columns.map((column, index) => {
      const rank = column.rank(method);
      const isBest = method.kind !== "reference" && rank !== null && rank === best[index];
      return { ...column.cell(method, group), best: isBest };
    }),
  }));
}

/** The best value among the methods that see no masks; null if all values are the same, or there is only one. */
function bestOf({ methods }: AnalysisGroup, { better, rank }: ColumnPlan): number | null {
  const values = methods.filter(({ kind }) => kind !== "reference").flatMap((method) => rank(method) ?? []);
  if (better === null || new Set(values).size < 2) return null;
  return better === "higher" ? Math.max(...values) : Math.min(...values);
}
