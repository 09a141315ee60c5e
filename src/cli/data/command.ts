import { DATASET_NAMES, DataConfig } from "../../config/index.ts";
import { ownDataset } from "../../data/sources/own-dataset.ts";
import { defineCommand } from "../command.ts";
import { quoted } from "../shell-word.ts";

/** Images of one's own are named by `--data-dir`; the word says how they are read. */
function advice(word: string): string | undefined {
  if ((DATASET_NAMES as readonly string[]).includes(word)) return undefined;
  const own = ownDataset(word);
  if (own !== undefined)
    return `${own.holds} and is no data set's name: write \`batch-cam data ${own.name} --data-dir ${quoted(word)}\``;
  const isPath = /[\\/]|\.(?:csv|npz)$/i.test(word);
  return isPath
    ? "is no data set's name, and there is nothing to read at that path: write `batch-cam data folder --data-dir FOLDER`, or csv or npz with a file"
    : undefined;
}

export const dataCommand = defineCommand({
  name: "data",
  summary: "Prepare and check a data set: its splits, the balance of its classes, a picture of each and its prototype.",
  config: DataConfig,
  operand: { key: "dataset", name: "NAME", advice },
  async run(call) {
    const { runData } = await import("./data.ts");
    return runData(call);
  },
});
