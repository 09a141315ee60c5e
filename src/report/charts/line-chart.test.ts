import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { linearAxis, logAxis } from "./axis.ts";
import { type LineChartInput, lineChart, lineSample } from "./line-chart.ts";
import { movingMean, thin } from "./series.ts";

const line = (...values: (number | null)[]) => values.map((y, index) => ({ x: index + 1, y }));

function chart(changes: Partial<LineChartInput> = {}): string {
  return lineChart({ title: "Loss", xLabel: "step", series: [{ name: "plain", points: line(3, 2, 1) }], ...changes });
}

describe("lineChart", () => {
  it("draws a line and a marker per point, and says in words what it shows", () => {
    const svg = chart();
    expect(svg.match(/<circle/g)).toHaveLength(3);
    expect(svg).toContain("<title>Loss by step; plain: from 3 to 1</title>");
  });

  it("leaves a gap where a value is missing or not finite", () => {
    const points = line(1, 2, null, 3, Number.NaN, 4);
    expect(chart({ series: [{ name: "plain", points }] })).toMatch(/d="M[^"ML]*L[^"ML]*M[^"ML]*M[^"ML]*"/);
  });

  it("stays inside its plot and never writes NaN, whatever the values", () => {
    const value = fc.option(fc.double(), { nil: null });
    const scale = fc.constantFrom("linear" as const, "zero" as const, "log" as const);
    fc.assert(
      fc.property(fc.array(value, { maxLength: 60 }), scale, fc.integer({ min: 1, max: 9 }), (values, kind, smooth) => {
        const svg = chart({ series: [{ name: "plain", points: line(...values) }], scale: kind, smooth });
        expect(svg).not.toMatch(/NaN|Infinity|undefined/);
        for (const [, path = ""] of svg.matchAll(/ d="([ML][^"]*)" fill="none"/g)) {
          for (const pair of path.split(/[ML]/).slice(1)) {
            const [x = 0, y = 0] = pair.split(" ").map(Number);
            expect(x >= 46 && x <= 304 && y >= 9.9 && y <= 136.1).toBe(true);
          }
        }
      }),
    );
  });

  it("says so where there are no values", () => {
    expect(chart({ series: [{ name: "plain", points: line(null) }] })).toContain("no values");
    expect(chart({ series: [{ name: "plain", points: [] }] })).toContain("plain: no values");
  });

  it("draws a single point", () => {
    expect(chart({ series: [{ name: "plain", points: line(5) }] })).toMatch(/<circle/);
  });

  it("draws a faint line of all values under the moving mean", () => {
    const svg = chart({ series: [{ name: "plain", points: line(...Array(50).fill(1)) }], smooth: 5 });
    expect(svg).toContain('opacity="0.28"');
  });

  it("keeps long runs small", () => {
    const points = line(...Array.from({ length: 100_000 }, (_, index) => Math.sin(index)));
    expect(chart({ series: [{ name: "plain", points }] }).length).toBeLessThan(20_000);
  });

  it("tells lines apart by dashes as well as by colour", () => {
    const svg = chart({ series: ["plain", "guided"].map((name) => ({ name, points: line(1, 2) })) });
    expect(new Set(svg.match(/stroke-dasharray="[^"]*"/g)).size).toBe(2);
    expect(lineSample(1)).toContain('stroke-dasharray="none"');
  });

  it("escapes names", () => {
    expect(chart({ title: "<b>", xLabel: "<i>", series: [{ name: "<u>", points: line(1) }] })).not.toMatch(/<[biu]>/);
  });

  it.each([
    ["no line", { series: [] }, "series must hold at least one line"],
    [
      "an x that is not finite",
      { series: [{ name: "plain", points: [{ x: Number.NaN, y: 1 }] }] },
      'x of point 0 of "plain"',
    ],
    ["half a smoothing window", { smooth: 1.5 }, "smooth must be a positive whole number"],
  ])("refuses %s", (_, changes, message) => {
    expect(() => chart(changes)).toThrow(
      expect.objectContaining({ code: "E_ARGUMENT", message: expect.stringContaining(message) }),
    );
  });
});

describe("linearAxis", () => {
  it.each([
    [
      [0, 0.97],
      ["0", "0.2", "0.4", "0.6", "0.8", "1.0"],
    ],
    [
      [0.975, 0.985],
      ["0.974", "0.976", "0.978", "0.980", "0.982", "0.984", "0.986"],
    ],
    [
      [0, 2.3],
      ["0", "0.5", "1.0", "1.5", "2.0", "2.5"],
    ],
    [
      [-3, 5],
      ["−4", "−2", "0", "2", "4", "6"],
    ],
  ])("has round ticks around %j, each with the decimals that it needs", (values, labels) => {
    const { ticks, label } = linearAxis(values);
    expect(ticks.map(label)).toEqual(labels);
  });

  it("ends at the values where it is tight, with whole ticks for steps and epochs", () => {
    const axis = linearAxis([1, 2], { tight: true, whole: true });
    expect(axis.ticks).toEqual([1, 2]);
    expect([axis.at(1), axis.at(2)]).toEqual([0, 1]);
  });

  it.each([[[0]], [[5]], [[-5]], [[]]])("has a range even for %j", (values) => {
    const axis = linearAxis(values);
    expect(axis.ticks.length).toBeGreaterThan(1);
    expect(axis.at(values[0] ?? 0)).toBeGreaterThanOrEqual(0);
  });
});

describe("logAxis", () => {
  it("ticks at powers of ten over a wide range, and at 1, 2 and 5 over a narrow one", () => {
    expect(logAxis([0.5, 7000]).ticks).toEqual([1, 10, 100, 1000]);
    expect(logAxis([1, 12]).ticks).toEqual([1, 2, 5, 10]);
  });

  it("has ticks where no round power lies between the values", () => {
    expect(logAxis([3.1, 3.9]).ticks.length).toBeGreaterThan(1);
  });
});

describe("movingMean", () => {
  it("averages around each point, over fewer at the ends", () => {
    expect(movingMean(line(0, 3, 6, 9), 3).map(({ y }) => y)).toEqual([1.5, 3, 6, 7.5]);
  });

  it("is the identity for a window of one, and keeps gaps", () => {
    expect(movingMean(line(1, null, 3), 1)).toEqual(line(1, null, 3));
    expect(movingMean(line(1, null, 3), 3).map(({ y }) => y)).toEqual([1, null, 3]);
  });

  it("stays between the lowest and the highest value", () => {
    const values = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 20 }), (list, window) => {
        for (const { y } of movingMean(line(...list), window)) {
          expect(y).toBeGreaterThanOrEqual(Math.min(...list) - 1e-9);
          expect(y).toBeLessThanOrEqual(Math.max(...list) + 1e-9);
        }
      }),
    );
  });
});

describe("thin", () => {
  it("keeps the extremes and the order", () => {
    const points = line(...Array.from({ length: 1000 }, (_, index) => (index === 500 ? 99 : index % 7)));
    const kept = thin(points, 100);
    expect(kept.length).toBeLessThanOrEqual(100);
    expect(kept.map(({ y }) => y)).toContain(99);
    expect(kept.map(({ x }) => x)).toEqual(kept.map(({ x }) => x).sort((a, b) => a - b));
  });

  it("leaves short lines alone", () => {
    expect(thin(line(1, 2), 10)).toEqual(line(1, 2));
  });
});
