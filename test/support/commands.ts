import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "../../src/cli/command.ts";
import { flagsOf } from "../../src/cli/flags.ts";

const COMMANDS = join(import.meta.dirname, "../../src/cli/commands");

/** Flags of every command. */
const GENERAL = ["help", "version", "config"];

const isCommand = (value: unknown): value is Command =>
  typeof value === "object" && value !== null && "summary" in value && "config" in value;

/** Every command of the command line, by its name. */
export async function allCommands(): Promise<Map<string, Command>> {
  const commands = new Map<string, Command>();
  for (const file of readdirSync(COMMANDS).filter((name) => /^[\w-]+\.ts$/.test(name) && !name.includes(".test."))) {
    const exported = Object.values((await import(join(COMMANDS, file))) as Record<string, unknown>);
    for (const value of exported) if (isCommand(value)) commands.set(value.name, value);
  }
  return commands;
}

/** Names of a command's flags, negated ones too. */
export function flagNames({ config }: Command): string[] {
  const flags = flagsOf(config);
  return [...flags.map(({ name }) => name), ...flags.map(({ name }) => `no-${name}`), ...GENERAL];
}
