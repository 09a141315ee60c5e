import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gridRecords, reportInput } from "../../../test/support/report-case.ts";
import { latexText, tableCsv, tableLatex } from "./table-files.ts";
import { reportTables } from "./tables.ts";

const METHODS = [
  { name: "plain", plain: true },
  { name: 'a "b", 50%_{c} & <d> $e$' },
  { name: "bound", baseline: "rrr" },
];
const accuracies: Record<string, number> = { plain: 0.8, bound: 0.99 };
const records = gridRecords({ methods: METHODS, datasets: "decoy-mnist", seeds: 3 }, (method, seed) => ({
  test: { accuracy: (accuracies[method] ?? 0.9) + seed / 300, coherence: Number.NaN },
}));
const tables = reportTables(reportInput(records).groups);
const table = (name: string) => tables.find((one) => one.name === name) as (typeof tables)[number];

describe("a table as CSV", () => {
  const rows = parse(tableCsv(table("accuracy")), { columns: true }) as Record<string, string>[];

  it("holds names and numbers as they were, to the last digit", () => {
    expect(rows.map(({ method }) => method)).toEqual(METHODS.map(({ name }) => name));
    const values = records.filter(({ method }) => method === "plain").map(({ test }) => test.accuracy);
    expect(Number(rows[0]?.["accuracy.mean"])).toBeCloseTo(
      values.reduce((sum, value) => sum + value / 3, 0),
      15,
    );
    expect(rows[0]).toMatchObject({ model: "simple-cnn", dataset: "decoy-mnist", kind: "plain", done: "3", runs: "3" });
    expect(rows[0]?.["difference.mean"]).toBe("");
    expect(Number(rows[1]?.["difference.mean"])).toBeCloseTo(0.1, 12);
  });

  it("has no column for what no run has", () => {
    expect(tableCsv(table("reconstruction"))).not.toMatch(/coherence|NaN/);
    expect(tables.map(({ name }) => name)).toEqual(["accuracy", "reconstruction", "time", "tests"]);
  });
});

describe("a table in LaTeX", () => {
  const text = tableLatex(table("accuracy"));

  it("has booktabs' rules and as many cells in each row as columns", () => {
    for (const rule of ["\\toprule", "\\midrule", "\\bottomrule"]) expect(text).toContain(rule);
    const [, columns = ""] = text.match(/\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}/) ?? [];
    const rows = text.split("\n").filter((line) => line.endsWith("\\\\") && !line.startsWith("\\multicolumn"));
    expect(rows).toHaveLength(1 + METHODS.length);
    for (const row of rows) expect(row.split(/(?<!\\)&/)).toHaveLength(columns.length);
  });

  it("continues in further tables where columns or groups have no room on a page, each whole", () => {
    const parts = (tableOf: (typeof tables)[number]) => tableLatex(tableOf).split("\\begin{table}").slice(1);
    const wide = structuredClone(table("tests"));
    for (const cell of wide.sections.flatMap(({ rows }) => rows).flatMap(({ cells }) => cells))
      cell.text = "0".repeat(37);
    const [first, ...others] = parts(wide);
    expect(others.length).toBeGreaterThan(0);
    expect(first).toContain("\\label{tab:tests}");
    for (const [index, part] of others.entries()) {
      expect(part).toContain(`\\label{tab:tests-${index + 2}}`);
      expect(part).toContain("\\caption{Differences from plain training, continued.}");
    }
    const heads = [first, ...others].flatMap((part) => /seeds & (.*) \\\\/.exec(part ?? "")?.[1]?.split(" & ") ?? []);
    expect(heads).toEqual(table("tests").columns.map(({ head }) => head));

    const [section] = table("time").sections as [(typeof tables)[number]["sections"][number]];
    const many = Array.from({ length: 20 }, (_, index) => ({ ...section, model: `model ${index}` }));
    const long = parts({ ...table("time"), sections: many });
    expect(long.map((part) => part.match(/multicolumn/g)?.length)).toEqual([9, 9, 2]);
  });

  it("escapes names", () => {
    expect(text).toContain(
      "a \\textquotedbl{}b\\textquotedbl{}, 50\\%\\_\\{c\\} \\& \\textless{}d\\textgreater{} \\$e\\$",
    );
  });

  it("sets the best in bold only among the methods that see no masks", () => {
    const bold = text.split("\n").filter((line) => line.includes("\\textbf"));
    expect(bold).toHaveLength(1);
    expect(bold[0]).toMatch(/^a .*guided.*\\textbf\{90\.33/);
  });
});

describe("text in LaTeX", () => {
  it("leaves nothing that LaTeX would read as its own, in any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const escaped = latexText(text);
        const bare = escaped
          .replace(
            /\\(?:textbackslash|textasciitilde|textasciicircum|textquotedbl|textless|textgreater|textbar|dots)\{\}/g,
            "",
          )
          .replace(/\$(?:\\(?:pm|times|le|ge|lambda|surd)|-)\$/g, "")
          .replace(/\{[[\]]\}/g, "")
          .replace(/\\[&%$#_{}]/g, "");
        expect(bare).not.toMatch(/[\\{}$&#^_%"<>|]/);
        expect(bare).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});
