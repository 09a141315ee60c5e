import { MEASURES, type MeasureName } from "../../measures.ts";
import { DECOY_RUNS, type DecoyResults, decoyAccuracy, decoyInWords } from "../../report/internal.ts";
import type { TrainResult } from "../../train/index.ts";
import { formatTable, wrap } from "../table.ts";
import { percent, short } from "../train/progress-lines.ts";
import type { DemoRun } from "./runs.ts";

export type DemoResults = Record<DemoRun, TrainResult>;

/** The results of the runs on the decoy set. */
export function decoyOf(results: Pick<DemoResults, "decoy-plain" | "decoy-guided" | "decoy-control">): DecoyResults {
  return { plain: results["decoy-plain"], guided: results["decoy-guided"], control: results["decoy-control"] };
}

/**
 * The lines that end the demo: a table of the runs on MNIST, a table of those on the decoy set, and what the second does and does not show.
 */
export function closingLines(results: DemoResults): string {
  const decoy = decoyOf(results);
  const { shows, doesNotShow } = decoyInWords(decoy);
  const lines = [shows, doesNotShow].flatMap((text) => wrap(text, COLUMNS));
  const words = lines.join("\n").replaceAll("\u00a0", " ");
  return `MNIST\n${formatDemoTable(results)}\nMNIST with a decoy patch\n${formatDecoyTable(decoy)}\n${words}\n`;
}

/** The width of the table of MNIST runs. */
const COLUMNS = 100;

const MAP_MEASURES = ["mapL1", "mapL2", "mapSsim", "coherence"] as const satisfies MeasureName[];
const HEADERS = [
  ...["", "test accuracy"],
  ...[...MAP_MEASURES, "deadMaps" as const, "secondsPerEpoch" as const].map((name) => MEASURES[name].short),
];

/** One row for each run on MNIST. The maps are compared with the prototypes of their classes. */
export function formatDemoTable(results: Pick<DemoResults, "plain" | "guided">): string {
  const rows = (["plain", "guided"] as const).map((name) => {
    const { test, history } = results[name];
    const seconds = history.reduce((sum, { secondsPerEpoch }) => sum + secondsPerEpoch, 0) / history.length;
    if (!test) return [name];
    const maps = MAP_MEASURES.map((name) => short(test[name]));
    return [name, percent(test.accuracy, 2), ...maps, percent(test.deadMaps), seconds.toFixed(1)];
  });
  return formatTable(HEADERS, rows);
}

/** One row for each run on the decoy set: the accuracy with a patch that shows the class, and with a random patch. */
export function formatDecoyTable(results: DecoyResults): string {
  const cell = (share: number | null) => (share === null ? "" : percent(share));
  const rows = DECOY_RUNS.map((name) => {
    const { told, random } = decoyAccuracy(results[name]);
    return [name, cell(told), cell(random)];
  });
  return formatTable(["accuracy if the patch", "reveals the class", "is drawn at random"], rows);
}
