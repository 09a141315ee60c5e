import type { Named } from "../registry.ts";
import type { Command } from "./command.ts";

/** A command that is known by name, and loaded when it is asked for: most of them load the engine or a report. */
export interface CommandEntry extends Named {
  load(): Promise<Command>;
}

/** Every command, in the order of the help. A new one is a file and a line here. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: "train", load: async () => (await import("./commands/train.ts")).trainCommand },
  { name: "find-lr", load: async () => (await import("./commands/find-lr.ts")).findLrCommand },
  { name: "explain", load: async () => (await import("./commands/explain.ts")).explainCommand },
  { name: "data", load: async () => (await import("./commands/data.ts")).dataCommand },
  { name: "compare", load: async () => (await import("./commands/compare.ts")).compareCommand },
  { name: "report", load: async () => (await import("./commands/report.ts")).reportCommand },
  { name: "evaluate", load: async () => (await import("./commands/evaluate.ts")).evaluateCommand },
  { name: "demo", load: async () => (await import("./commands/demo.ts")).demoCommand },
  { name: "models", load: async () => (await import("./commands/models.ts")).modelsCommand },
  { name: "setup", load: async () => (await import("./commands/setup.ts")).setupCommand },
  { name: "doctor", load: async () => (await import("./commands/doctor.ts")).doctorCommand },
];
