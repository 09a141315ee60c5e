import fc from "fast-check";
import { SaxesParser } from "saxes";
import { describe, expect, it } from "vitest";
import { type LineChart, lineChart, lineSample } from "./line-chart.ts";
import { lineStyle } from "./palette.ts";

const points = (...values: (number | null)[]) => values.map((y, index) => ({ x: index + 1, y }));
const line = (name: string, values: (number | null)[], index = 0) => {
  return { name, points: points(...values), style: lineStyle(index, 2) };
};

async function chart(changes: Partial<LineChart> = {}): Promise<string> {
  const lines = [line("plain", [3, 2, 1])];
  return (await lineChart({ title: "Loss", xLabel: "step", lines, ...changes }, "test")).text;
}

/** The path commands of the chart's lines, in the coordinates of the plot. */
const linesOf = (svg: string) => {
  const marks = svg.match(/<g class="mark-line.*?<\/g>/gs) ?? [];
  return marks.flatMap((mark) => [...mark.matchAll(/ d="([^"]*)"/g)].map(([, d = ""]) => d));
};
const markersOf = (svg: string) =>
  (svg.match(/<g class="mark-symbol.*?<\/g>/gs) ?? []).flatMap((mark) => mark.match(/<path/g) ?? []);

/** The labels of the y axis, from bottom to top. */
function ticks(svg: string): string[] {
  const labels = svg.match(/<g class="mark-text role-axis-label".*?<\/g>/gs)?.at(-1) ?? "";
  return [...labels.matchAll(/>([^<]+)<\/text>/g)].map(([, text = ""]) => text);
}

describe("lineChart", () => {
  it("draws a line and a marker for each point, and says in words what it shows", async () => {
    const svg = await chart();
    expect(markersOf(svg)).toHaveLength(3);
    expect(svg).toContain("<title>Loss by step; plain: from 3 to 1</title>");
    expect(svg).toMatch(/^<svg class="chart" role="img"/);
  });

  it("leaves a gap where a value is missing or not finite", async () => {
    const [d = ""] = linesOf(await chart({ lines: [line("plain", [1, 2, null, 3, Number.NaN, 4])] }));
    expect(d).toMatch(/^M[^ML]*L[^ML]*M[^M]*M[^M]*$/);
  });

  it("stays inside its plot and never writes NaN, whatever the values", async () => {
    const value = fc.option(fc.double(), { nil: null });
    const scale = fc.constantFrom("linear" as const, "zero" as const, "log" as const);
    const draw = fc.asyncProperty(
      ...[fc.array(value, { maxLength: 60 }), scale, fc.integer({ min: 1, max: 9 })],
      async (values, kind, smooth) => {
        const svg = await chart({ lines: [line("plain", values)], scale: kind, smooth });
        expect(svg).not.toMatch(/NaN|Infinity|undefined/);
        for (const d of linesOf(svg)) {
          for (const pair of d.split(/[MLZ]/).filter(Boolean)) {
            const [x = 0, y = 0] = pair.split(",").map(Number);
            expect(x >= 0 && x <= 258 && y >= -0.1 && y <= 126.1, d).toBe(true);
          }
        }
      },
    );
    await fc.assert(draw, { numRuns: 40 });
  });

  it("says so if there are no values", async () => {
    expect(await chart({ lines: [line("plain", [null])] })).toContain("no values");
    expect(await chart({ lines: [line("plain", [])] })).toContain("plain: no values");
  });

  it("draws a single point", async () => {
    expect(markersOf(await chart({ lines: [line("plain", [5])] }))).toHaveLength(1);
  });

  it("draws a faint line of all values under the moving mean", async () => {
    const svg = await chart({ lines: [line("plain", Array(50).fill(1))], smooth: 5 });
    expect(svg).toContain('opacity="0.28"');
    expect(linesOf(svg)).toHaveLength(2);
  });

  it("keeps long runs small", async () => {
    const values = Array.from({ length: 100_000 }, (_, index) => Math.sin(index));
    expect((await chart({ lines: [line("plain", values)] })).length).toBeLessThan(20_000);
  });

  it("tells lines apart by dashes as well as by colour", async () => {
    const lines = ["plain", "guided"].map((name, index) => line(name, [1, 2], index));
    const [plain = "", guided = ""] = (await chart({ lines })).match(/<path[^>]*stroke="var\(--line-[^>]*>/g) ?? [];
    expect([plain, guided].map((path) => /stroke="([^"]*)"/.exec(path)?.[1])).toEqual([
      "var(--line-2)",
      "var(--line-1)",
    ]);
    expect(new Set([plain, guided].map((path) => /stroke-dasharray="([^"]*)"/.exec(path)?.[1])).size).toBe(2);
    expect(lineSample(lineStyle(1, 2)).text).toContain('stroke-dasharray="none"');
  });

  it("escapes names", async () => {
    const svg = await chart({ title: "<b>", xLabel: "<i>", lines: [line("<u>", [1])] });
    expect(svg).not.toMatch(/<[biu]>/);
    new SaxesParser().write(svg).close();
  });

  it.each([
    ["no line", { lines: [] }, "series must hold at least one line"],
    [
      "an x that is not finite",
      { lines: [{ ...line("plain", []), points: [{ x: Number.NaN, y: 1 }] }] },
      'x of point 0 of "plain"',
    ],
    ["half a smoothing window", { smooth: 1.5 }, "smooth must be a positive whole number"],
  ])("refuses %s", async (_, changes, message) => {
    await expect(async () => chart(changes)).rejects.toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringContaining(message) }),
    );
  });
});

describe("the axis of the values", () => {
  it.each([
    ["zero", [0, 0.97], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]],
    ["linear", [-3, 5], ["−4", "−2", "0", "2", "4", "6"]],
    ["log", [0.5, 7000], ["1", "10", "100", "1000"]],
  ] as const)("has round ticks on a %s scale around %j", async (scale, values, expected) => {
    expect(ticks(await chart({ lines: [line("plain", [...values])], scale }))).toEqual(expected);
  });

  it("has as many decimals as tell its ticks apart", async () => {
    const found = ticks(await chart({ lines: [line("plain", [0.975, 0.985])] }));
    expect(found.length).toBeGreaterThan(2);
    expect(new Set(found).size).toBe(found.length);
  });

  it.each([[[0]], [[5]], [[-5]], [[3.1, 3.9]]])("has several ticks even for %j", async (values) => {
    for (const scale of ["linear", "zero"] as const)
      expect(ticks(await chart({ lines: [line("plain", values)], scale })).length).toBeGreaterThan(1);
  });

  it("names whole steps and epochs alone", async () => {
    const svg = await chart({ lines: [line("plain", [1, 2])], xLabel: "epoch" });
    const labels = svg.match(/<g class="mark-text role-axis-label".*?<\/g>/gs)?.[0] ?? "";
    expect([...labels.matchAll(/>([^<]+)<\/text>/g)].map(([, text]) => text)).toEqual(["1", "2"]);
  });
});
