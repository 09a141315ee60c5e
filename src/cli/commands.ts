import type { Named } from "../registry.ts";
import type { Command } from "./command.ts";

/**
 * A command's name and the function that loads it. Commands are loaded only when they are used, because most of them load the engine or the
 * reports.
 */
export interface CommandEntry extends Named {
  load(): Promise<Command>;
}

/** Every command, in the order of the help. To add one, write its file and add a line here. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: "train", load: async () => (await import("./train/command.ts")).trainCommand },
  { name: "find-lr", load: async () => (await import("./find-lr/command.ts")).findLrCommand },
  { name: "explain", load: async () => (await import("./explain/command.ts")).explainCommand },
  { name: "data", load: async () => (await import("./data/command.ts")).dataCommand },
  { name: "compare", load: async () => (await import("./compare/command.ts")).compareCommand },
  { name: "report", load: async () => (await import("./report/command.ts")).reportCommand },
  { name: "evaluate", load: async () => (await import("./evaluate/command.ts")).evaluateCommand },
  { name: "demo", load: async () => (await import("./demo/command.ts")).demoCommand },
  { name: "models", load: async () => (await import("./models/command.ts")).modelsCommand },
  { name: "export-recipe", load: async () => (await import("./export-recipe/command.ts")).exportRecipeCommand },
  { name: "setup", load: async () => (await import("./setup/command.ts")).setupCommand },
  { name: "doctor", load: async () => (await import("./doctor/command.ts")).doctorCommand },
];
