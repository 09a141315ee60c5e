import { FindLrConfig, UNUSED_KEYS } from "../../config/internal.ts";
import { defineCommand } from "../command.ts";

export const findLrCommand = defineCommand({
  name: "find-lr",
  summary: "Find a learning rate: train at rising rates until the loss diverges, and suggest one.",
  config: FindLrConfig,
  // A config file of `train` is accepted; the keys that a sweep does not use are dropped.
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
