import type { GridRunRecord } from "../../workflows/internal.ts";
import { type ReportTable, seedsOf, type TableCell, type TableColumn, type TableSection } from "./table.ts";

/** A table as CSV (RFC 4180) in full precision. A missing number is an empty field. */
export function tableCsv({ columns, sections }: ReportTable): string {
  const heads = ["model", "dataset", "method", "kind", "done", "runs", ...columns.flatMap(({ csv }) => csv)];
  const rows = sections.flatMap(({ model, dataset, rows: inSection }) =>
    inSection.map(({ method, kind, done, runs, cells }) => [
      ...[model, dataset, method, kind, done, runs],
      ...cells.flatMap(({ csv }) => csv),
    ]),
  );
  return [heads, ...rows].map(csvRow).join("");
}

/** The number of characters in a line of a LaTeX table, and of lines on a page. A larger table is divided. */
const [LINE, PAGE] = [110, 38];

/**
 * A table in LaTeX with the rules of booktabs and the bold numbers of the page. A table that is wider than the text is made smaller, and
 * columns and groups that do not fit on a page continue in further tables. Needs `\usepackage{booktabs,graphicx}`.
 */
export function tableLatex(table: ReportTable): string {
  const pages = packed(table.sections, { size: ({ rows }) => rows.length + 1, room: PAGE });
  const parts = columnsOfTables(table).flatMap((shown) => pages.map((sections) => ({ sections, shown })));
  const tables = parts.map((part, index) => latexPart(table, part, index));
  return `% \\usepackage{booktabs,graphicx}\n${tables.join("\n")}`;
}

/** The indices of the columns of each table. */
function columnsOfTables({ columns, sections }: ReportTable): number[][] {
  const rows = sections.flatMap((section) => section.rows);
  const names = Math.max(6, ...rows.map(({ method, kind }) => method.length + kind.length)) + 10;
  const widthOf = (index: number) =>
    3 + Math.max(columns[index]?.head.length ?? 0, ...rows.map(({ cells }) => cells[index]?.text.length ?? 0));
  return packed([...columns.keys()], { size: widthOf, room: LINE - names });
}

/** Divides items in their order into as few lots as possible. An item that is too large has a lot of its own. */
function packed<T>(items: readonly T[], { size, room }: { size: (item: T) => number; room: number }): T[][] {
  const lots: T[][] = [];
  let left = 0;
  for (const item of items) {
    left -= size(item);
    if (left < 0 || lots.length === 0) {
      lots.push([]);
      left = room - size(item);
    }
    lots.at(-1)?.push(item);
  }
  return lots;
}

interface LatexPart {
  sections: readonly TableSection[];
  /** Indices of columns. */
  shown: readonly number[];
}

function latexPart({ name, caption, note, columns }: ReportTable, { sections, shown }: LatexPart, part: number) {
  const heads = shown.map((index) => {
    const { head, better } = columns[index] as TableColumn;
    return latexText(head) + (better === null ? "" : ` $\\${better === "higher" ? "uparrow" : "downarrow"}$`);
  });
  const groups = sections.map(({ model, dataset, rows }) => {
    const title = `\\multicolumn{${shown.length + 3}}{@{}l}{${latexText(`${model} on ${dataset}`)}} \\\\`;
    const lines = rows.map((row) => {
      const values = shown.map((index) => latexCell(row.cells[index] as TableCell));
      return [latexText(row.method), row.kind, seedsOf(row), ...values].join(" & ").concat(" \\\\");
    });
    return [title, ...lines].join("\n");
  });
  const said = part === 0 ? `${caption}. ${note}` : `${caption}, continued.`;
  return `\\begin{table}
\\centering\\small
\\setlength{\\tabcolsep}{4pt}
\\caption{${latexText(said)}}
\\label{tab:${name}${part === 0 ? "" : `-${part + 1}`}}
\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%
\\begin{tabular}{@{}llr${"r".repeat(shown.length)}@{}}
\\toprule
${["method", "kind", "seeds", ...heads].join(" & ")} \\\\
\\midrule
${groups.join("\n\\midrule\n")}
\\bottomrule
\\end{tabular}}
\\end{table}
`;
}

function latexCell({ text, best }: TableCell): string {
  const escaped = latexText(text);
  return best ? `\\textbf{${escaped}}` : escaped;
}

const LATEX: Readonly<Record<string, string>> = {
  ...{ "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" },
  ...{ "&": "\\&", "%": "\\%", $: "\\$", "#": "\\#", _: "\\_", "{": "\\{", "}": "\\}" },
  ...{
    "±": "$\\pm$",
    "−": "$-$",
    "×": "$\\times$",
    "–": "--",
    "—": "---",
    "≤": "$\\le$",
    "≥": "$\\ge$",
    λ: "$\\lambda$",
  },
  ...{
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    '"': "\\textquotedbl{}",
    "\u00a0": "~",
    "…": "\\dots{}",
    "√": "$\\surd$",
  },
  ...{ "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "[": "{[}", "]": "{]}" },
};

/** Text escaped for LaTeX. Line ends and control characters become spaces. */
export function latexText(text: string): string {
  return Array.from(text.replace(/[\p{C}\s]/gu, (character) => (character === "\u00a0" ? character : " ")))
    .map((character) => LATEX[character] ?? character)
    .join("");
}

/** All numbers of a grid's finished runs as CSV (RFC 4180), a row for each run. A missing number is an empty field. */
export function runsTable(records: readonly GridRunRecord[]): string {
  const rows = records.flatMap((record) => {
    if (record.status !== "done") return [];
    const { id, model, dataset, method, kind, seed, test, spurious, explanations } = record;
    const { bestEpoch, steps, seconds, secondsPerStep, parameters } = record;
    const { split: _, ...judged } = test;
    return [
      {
        ...{ id, model, dataset, method, kind, seed, bestEpoch, steps, seconds, secondsPerStep, parameters },
        ...flat("test", judged),
        ...flat("spurious", spurious ?? {}),
        ...flat("explanations", explanations?.values ?? {}),
      } as Record<string, unknown>,
    ];
  });
  const named = [...new Set(rows.flatMap(Object.keys))];
  // If a part of the record is null for some runs, its numbers have columns, but the part itself has none.
  const columns = named.filter((name) => !named.some((other) => other.startsWith(`${name}.`)));
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))].map(csvRow).join("");
}

/** `{ accuracy: { random: 1 } }` as `{ "spurious.accuracy.random": 1 }`. */
function flat(prefix: string, record: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([key, value]) =>
      typeof value === "object" && value !== null
        ? Object.entries(flat(`${prefix}.${key}`, value))
        : [[`${prefix}.${key}`, value] as [string, unknown]],
    ),
  );
}

/**
 * A row of a CSV file (RFC 4180) with its line end. Null and undefined are empty fields. An apostrophe marks text that a spreadsheet would
 * take for a formula.
 */
export const csvRow = (values: readonly unknown[]): string => `${values.map(csvCell).join(",")}\n`;

function csvCell(value: unknown): string {
  const text = value === null || value === undefined ? "" : asText(String(value));
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Keeps a class called "=1+1" as text. Numbers may begin with a sign and stay numbers. */
function asText(text: string): string {
  return /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
}
