import { z } from "zod";
import { defineCommand } from "../command.ts";

const SetupConfig = z.strictObject({});

/** bin/batch-cam.mjs runs the set-up itself, because it must work before anything is built. This entry only puts it into the help. */
export const setupCommand = defineCommand({
  name: "setup",
  summary: "Download libtorch if it is missing, and build the engine.",
  config: SetupConfig,
  async run() {
    const script = new URL("../../../scripts/setup/main.mjs", import.meta.url);
    const { main } = (await import(script.href)) as { main: (options: { sayWhenFresh: boolean }) => Promise<number> };
    return (await main({ sayWhenFresh: true })) === 0 ? "done" : "failed";
  },
});
