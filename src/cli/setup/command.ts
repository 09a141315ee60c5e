import { z } from "zod";
import { defineCommand } from "../command.ts";

const SetupConfig = z.strictObject({});

/** bin/batch-cam.mjs runs set-up itself, which must work before anything is built; this is its place in the help. */
export const setupCommand = defineCommand({
  name: "setup",
  summary: "Fetch libtorch where there is none, and build the engine.",
  config: SetupConfig,
  async run() {
    const script = new URL("../../../scripts/setup/main.mjs", import.meta.url);
    const { main } = (await import(script.href)) as { main: (options: { sayWhenFresh: boolean }) => Promise<number> };
    return (await main({ sayWhenFresh: true })) === 0 ? "done" : "failed";
  },
});
