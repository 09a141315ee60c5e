import { CompareConfig, type CompareConfigInput } from "../../src/config/index.ts";
import { parseConfig } from "../../src/config/internal.ts";
import type { EpochRecord } from "../../src/train/run/events.ts";
import { readGrid } from "../../src/workflows/study/grid.ts";
import { runsOf } from "../../src/workflows/study/grid-runs.ts";
import type { DoneRun, FailedRun, GridRun } from "../../src/workflows/study/records.ts";

export const gridOf = (input: unknown) => readGrid(parseConfig(CompareConfig, input, { what: "compare" }));

export const gridRuns = (input: CompareConfigInput): GridRun[] => runsOf(gridOf(input));

/** A record as a run's process writes it, with the numbers that a test needs. */
export function doneRun(
  run: GridRun,
  { test = {}, ...over }: { test?: object } & Partial<Omit<DoneRun, "test">> = {},
): DoneRun {
  const record = {
    ...run,
    ...{ schemaVersion: 1, status: "done", bestEpoch: 1, steps: 10, seconds: 1, secondsPerStep: 0.1 },
    ...{ parameters: 5, explanations: null, spurious: null, environment: { threads: 1 } },
    history: Array.from({ length: run.config.epochs }, (_, i) => ({ epoch: i + 1 }) as EpochRecord),
    samples: {
      ...{ classNames: ["0"], height: 1, width: 1, channels: 1, labels: [0], predictions: [0] },
      ...{ images: ["AA=="], maps: ["AA=="], meanMaps: ["AA=="], prototypes: ["AA=="] },
    },
    test: {
      ...{ split: "test", images: 100, accuracy: 0.9, crossEntropy: 0.1, mapL1: 0.1, mapL2: 0.1, mapSsim: 0.5 },
      ...{ coherence: 0.8, deadMaps: 0, energyInForeground: 0.5, ...test },
    },
  } as const satisfies DoneRun;
  return { ...record, ...over };
}

export function failedRun(run: GridRun, message = "broke"): FailedRun {
  return { ...run, schemaVersion: 1, status: "failed", error: { code: "E_NUMERIC", message } };
}
