import type { CompareConfigInput } from "../../src/config/index.ts";
import type { GridReportInput } from "../../src/report/grid/input.ts";
import type { SpuriousRecord } from "../../src/workflows/evaluate/spurious.ts";
import { analyse } from "../../src/workflows/study/analysis.ts";
import type { DoneRun, GridRunRecord, RunSamples } from "../../src/workflows/study/records.ts";
import { settingsOf } from "../../src/workflows/study/settings.ts";
import { doneRun, gridRuns } from "./grid-runs.ts";

const SIDE = 4;

/** Samples of two classes, with pictures of 4x4. */
export function pictureSamples(over: Partial<RunSamples> = {}): RunSamples {
  const picture = (value: number) => Buffer.from(new Uint8Array(SIDE * SIDE).fill(value)).toString("base64");
  return {
    ...{ classNames: ["cat", "dog"], height: SIDE, width: SIDE, channels: 1, labels: [0, 1], predictions: [0, 0] },
    ...{ images: [picture(9), picture(99)], maps: [picture(200), picture(0)] },
    ...{ meanMaps: [picture(50), picture(60)], prototypes: [picture(70), picture(80)] },
    ...over,
  };
}

/** A record of the reliance on a cue, for tests that need only the accuracy with random cues and the wrong-reason score. */
export function spuriousOf(random: number, score: number | null = 0.3): SpuriousRecord {
  const accuracy = { aligned: 0.99, random, clean: random, adversarial: random };
  const wrongReason = score === null ? null : { score, dropped: 0 };
  return { images: 100, accuracy, worstClass: accuracy, energyInPatch: 0.1, wrongReason };
}

/** Finished records of every run of a grid, with numbers that differ by method and seed. `of` overrides the numbers that a test needs. */
export function gridRecords(
  grid: CompareConfigInput,
  of: (method: string, seed: number) => Parameters<typeof doneRun>[1] = () => ({}),
): DoneRun[] {
  return gridRuns(grid).map((run) => {
    const { test, ...over } = of(run.method, run.seed) ?? {};
    const usual = { accuracy: 0.8 + 0.01 * run.seed + 0.001 * run.method.length, mapSsim: 0.3 + 0.02 * run.seed };
    return doneRun(run, { samples: pictureSamples(), ...over, test: { ...usual, ...test } });
  });
}

export function reportInput(records: readonly GridRunRecord[], over: Partial<GridReportInput> = {}): GridReportInput {
  return {
    ...{ name: "study", command: "npx batch-cam report runs/compare/study", groups: analyse(records), mixed: [] },
    settings: settingsOf(records),
    seeds: [...new Set(records.map(({ seed }) => seed))],
    failed: records.filter((record) => record.status === "failed"),
    ...{ missing: [], ...over },
  };
}

/** The text that a reader sees on a page, without style and markup. */
export function textOf(html: string): string {
  return html
    .replace(/<style>.*?<\/style>/s, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .replace(/&(lt|gt|quot|#39|amp);/g, (_, name: string) => ENTITIES[name] ?? "");
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };
