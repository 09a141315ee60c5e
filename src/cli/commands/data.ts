import { DataConfig } from "../../config/index.ts";
import { defineCommand } from "../command.ts";

export const dataCommand = defineCommand({
  name: "data",
  summary: "Prepare and check a data set: its splits, the balance of its classes, a picture of each and its prototype.",
  config: DataConfig,
  operand: { key: "dataset", name: "NAME" },
  async run(call) {
    const { runData } = await import("../data.ts");
    return runData(call);
  },
});
