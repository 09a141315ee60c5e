import { DATASET_NAMES, DataConfig } from "../../config/index.ts";
import { ownDataset } from "../../data/sources/own-dataset.ts";
import { defineCommand } from "../command.ts";
import { quoted } from "../shell-word.ts";

/** Advice if the word is a path: the word must name how the images are read, and `--data-dir` names the images. */
function advice(word: string): string | undefined {
  if ((DATASET_NAMES as readonly string[]).includes(word)) return undefined;
  const own = ownDataset(word);
  if (own !== undefined)
    return `${own.holds} and is not the name of a data set: write \`batch-cam data ${own.name} --data-dir ${quoted(word)}\``;
  const isPath = /[\\/]|\.(?:csv|npz)$/i.test(word);
  return isPath
    ? "is not the name of a data set, and there is no file or folder at that path: write `batch-cam data folder --data-dir FOLDER`, or use csv or npz with a file"
    : undefined;
}

export const dataCommand = defineCommand({
  name: "data",
  summary:
    "Load and check a data set: print its splits and class balance, and draw an example and the prototype of each class.",
  config: DataConfig,
  operand: { key: "dataset", name: "NAME", advice },
  async run(call) {
    const { runData } = await import("./data.ts");
    return runData(call);
  },
});
