import type { Command } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { flagsOf } from "../../src/cli/flags.ts";

/** The flags of every command. */
const GENERAL = ["help", "version", "config"];

/** Every command of the command line, by its name. */
export async function allCommands(): Promise<Map<string, Command>> {
  return new Map(await Promise.all(COMMANDS.map(async ({ name, load }) => [name, await load()] as const)));
}

/** The names of a command's flags, including negated ones. */
export function flagNames({ config }: Command): string[] {
  const flags = flagsOf(config);
  return [...flags.map(({ name }) => name), ...flags.map(({ name }) => `no-${name}`), ...GENERAL];
}
