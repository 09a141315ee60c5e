import { csvRow } from "../csv.ts";
import type { ReportTable, TableCell } from "./table.ts";

/** A table as CSV (RFC 4180) in full precision; a number that is not there is empty. */
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

/** A table in LaTeX with booktabs' rules; bold as on the page. Needs `\usepackage{booktabs}`. */
export function tableLatex(table: ReportTable): string {
  const { name, caption, note, columns, sections } = table;
  const width = columns.length + 2;
  const heads = ["method", "kind", ...columns.map(({ head }) => head)].map(latexText);
  const arrows = columns.map(({ better }) =>
    better === null ? "" : ` $\\${better === "higher" ? "uparrow" : "downarrow"}$`,
  );
  const titles = heads.map((head, index) => `${head}${arrows[index - 2] ?? ""}`);
  const groups = sections.map(({ model, dataset, rows }) => {
    const title = `\\multicolumn{${width}}{@{}l}{${latexText(`${model} on ${dataset}`)}} \\\\`;
    const lines = rows.map(({ method, kind, cells }) =>
      [latexText(method), kind, ...cells.map(latexCell)].join(" & ").concat(" \\\\"),
    );
    return [title, ...lines].join("\n");
  });
  return `% \\usepackage{booktabs}
\\begin{table}
\\centering
\\caption{${latexText(`${caption}. ${note}`)}}
\\label{tab:${name}}
\\begin{tabular}{@{}ll${"r".repeat(columns.length)}@{}}
\\toprule
${titles.join(" & ")} \\\\
\\midrule
${groups.join("\n\\midrule\n")}
\\bottomrule
\\end{tabular}
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

/** Text as LaTeX shows it: what is special there is escaped, line ends and control characters are spaces. */
export function latexText(text: string): string {
  return Array.from(text.replace(/[\p{C}\s]/gu, (character) => (character === "\u00a0" ? character : " ")))
    .map((character) => LATEX[character] ?? character)
    .join("");
}
