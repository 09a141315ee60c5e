import { FindLrConfig, UNUSED_KEYS } from "../../config/internal.ts";
import { defineCommand } from "../command.ts";

export const findLrCommand = defineCommand({
  name: "find-lr",
  summary: "Find a learning rate: steps at rising rates, until the loss blows up.",
  config: FindLrConfig,
  // A training's own file will do.
  merge: (file, flags) => ({
    ...Object.fromEntries(Object.entries(file).filter(([key]) => !UNUSED_KEYS.includes(key))),
    ...flags,
  }),
  interruptible: "after this step",
  async run(call) {
    const { runFindLr } = await import("./find-lr.ts");
    return runFindLr(call);
  },
});
