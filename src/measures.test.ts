import { describe, expect, it } from "vitest";
import { MEASURE_GROUPS, MEASURES, type Measure, type MeasureName } from "./measures.ts";
import type { SplitRecord, StepMetrics } from "./train/run/events.ts";
import type { ExplanationMetrics } from "./workflows/evaluate/explanation-metrics.ts";
import type { MeasureId } from "./workflows/study/measures.ts";

type Recorded =
  | Exclude<keyof SplitRecord, "split" | "images" | "classAccuracy">
  | keyof StepMetrics
  | keyof ExplanationMetrics["values"]
  | MeasureId;

const rangeText = ({ range: [low, high], counts, unit }: Measure): string => {
  const end = (value: number) => (Number.isFinite(value) ? String(value) : "").replace("-", "−");
  const bounds = end(high) === "" ? (end(low) === "" ? "any" : `${end(low)} or more`) : `${end(low)} to ${end(high)}`;
  const recorded = unit === "ms" ? "seconds" : unit === "s" ? "seconds" : counts;
  return recorded === undefined ? bounds : `${bounds} (${recorded})`;
};

function row(name: string, measure: Measure): string {
  const { definition, note, missing, source = "", better, unit, digits } = measure;
  const absent = missing === undefined ? undefined : `It has no value if ${missing}.`;
  const sentences = [note, absent].filter((one) => one !== undefined);
  const text = (sentences.length === 0 ? definition : `${definition}. ${sentences.join(" ")}`).replaceAll("|", "\\|");
  const shown = `${digits} decimals${unit === "" ? "" : `, ${unit}`}`;
  return `| \`${name}\` | ${measure.name} | ${better ?? ""} | ${rangeText(measure)} | ${shown} | ${text} | ${source} |`;
}

function page(): string {
  const tables = Object.values(MEASURE_GROUPS).map(({ title, measures }) => {
    const rows = Object.entries(measures).map(([name, measure]) => row(name, measure));
    return `## ${title}

| key | name | better | recorded as | shown with | definition | source |
| --- | --- | --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
  });
  return `<!-- Made from src/measures.ts: npx vitest run src/measures.test.ts --update writes it. -->
# What is measured

Every number that a run, an evaluation or a comparison has, under the key that it has in \`metrics.jsonl\`, \`summary.csv\`,
\`evaluation.json\` and the tables of a comparison. Shares are recorded from 0 to 1 and shown in per cent; times are recorded in seconds.
Maps are Grad-CAM's of the true class unless an evaluation names another method. The map is M, the prototype of its class is P.

${tables.join("\n")}`;
}

describe("the table of measures", () => {
  it("has a row for each number that is recorded", () => {
    const names = (list: Record<Recorded, true>) => Object.keys(list);
    const recorded = names({
      ...{ accuracy: true, crossEntropy: true, mapL1: true, mapL2: true, mapSsim: true, coherence: true },
      ...{ deadMaps: true, energyInForeground: true, loss: true, prototypeLoss: true, batchCamLoss: true },
      ...{ baselineLoss: true, lambdaPrototype: true, lambdaBatch: true, rawMapMax: true, gradNorm: true, lr: true },
      ...{ averageDrop: true, absoluteDrop: true, increaseInConfidence: true, averageGain: true, deletionAuc: true },
      ...{ insertionAuc: true, roadMorf: true, roadLerf: true, roadCombined: true, pointingGame: true },
      ...{ energyInMask: true, relevanceRankAccuracy: true, sparseness: true, prototypeL1: true, prototypeL2: true },
      ...{ prototypeSsim: true, maxSensitivity: true, secondsPerStep: true, seconds: true, alignedAccuracy: true },
      ...{ randomAccuracy: true, cleanAccuracy: true, adversarialAccuracy: true, worstClass: true },
      ...{ energyInPatch: true, wrongReason: true },
    });
    for (const name of recorded) expect(MEASURES, name).toHaveProperty(name);
    const grouped = Object.values(MEASURE_GROUPS).flatMap(({ measures }) => Object.keys(measures));
    expect(new Set(grouped)).toEqual(new Set(Object.keys(MEASURES)));
  });

  it("gives every measure a range, decimals, and a definition that ends without a full stop", () => {
    for (const [name, { range, digits, definition, note, better }] of Object.entries(MEASURES)) {
      expect(range[0], name).toBeLessThan(range[1]);
      expect(Number.isInteger(digits) && digits >= 0 && digits <= 3, name).toBe(true);
      expect(definition, name).toMatch(/[^.]$/);
      if (note !== undefined) expect(note, name).toMatch(/^[A-Z].*\.$/s);
      if (better !== null) expect(["higher", "lower"], name).toContain(better);
    }
  });

  it("knows the direction of the measures that are judged most", () => {
    const better = (name: MeasureName) => MEASURES[name].better;
    for (const name of ["accuracy", "mapSsim", "coherence", "insertionAuc", "randomAccuracy"] as const)
      expect(better(name), name).toBe("higher");
    for (const name of ["mapL1", "mapL2", "deadMaps", "deletionAuc", "wrongReason", "secondsPerStep"] as const)
      expect(better(name), name).toBe("lower");
    expect(better("sparseness")).toBeNull();
  });

  it("is the table in docs/measures.md", async () => {
    await expect(page()).toMatchFileSnapshot("../docs/measures.md");
  });
});
