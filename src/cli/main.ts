import { createRequire } from "node:module";
import { fieldsOf, parseConfig, unusedMessage, unusedOptions } from "../config/internal.ts";
import { BatchCamError } from "../errors.ts";
import { type Registry, registryOf } from "../registry.ts";
import type { Command } from "./command.ts";
import { COMMANDS, type CommandEntry } from "./commands.ts";
import { readConfigFile } from "./config-file.ts";
import { reportFailure } from "./exit.ts";
import { flagOf, inFlagsOf } from "./flag-names.ts";
import { type Flag, flagsOf, kebabCase, type Operand, parseFlags } from "./flags.ts";
import { type CommandHelp, formatCommandHelp, formatHelp } from "./help.ts";
import { watchInterrupts } from "./interrupt.ts";
import { type CliIo, processIo } from "./io.ts";
import { withSafeOutput } from "./safe-output.ts";

/**
 * Runs the command line. It never throws.
 * @param entries the available commands
 * @returns the exit code: 0, 2 for the user's mistakes, 1 for other failures or failed runs, 130 after Ctrl-C
 */
export async function main(
  argv: readonly string[],
  given: CliIo = processIo(),
  entries: readonly CommandEntry[] = COMMANDS,
): Promise<number> {
  const io = withSafeOutput(given);
  const commands = registryOf(entries);
  try {
    const [name, ...rest] = argv;
    if (name === "--version" || name === "-v") io.stdout.write(`${version()}\n`);
    else if (name === undefined || name === "help" || name === "--help" || name === "-h")
      await help(rest, io, commands);
    else return await runCommand(await findCommand(name, commands), rest, io);
    return 0;
  } catch (error) {
    return reportFailure(error, io);
  }
}

/** Parses a command's flags and config file, runs it, and returns the exit code. Errors that it throws name the command's flags. */
export async function runCommand(command: Command, argv: readonly string[], io: CliIo): Promise<number> {
  try {
    return await parseAndRun(command, argv, io);
  } catch (error) {
    throw inFlagsOf(error, command);
  }
}

async function parseAndRun(command: Command, argv: readonly string[], io: CliIo): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) return printCommandHelp(command, io);
  const { config: named, ...given } = await readFlags(command, argv);
  expectOperand(command, given);
  const path = command.fileOf ? command.fileOf(given) : (named as string | undefined);
  const file = path === undefined ? {} : await readConfigFile(path, command.fileOf ? command.name : "--config");
  const origin = (key: string) => {
    return Object.hasOwn(given, key) || !Object.hasOwn(file, key) ? flagOf(key, command) : `${key} in ${path}`;
  };
  const input = command.merge ? command.merge(file, given) : given;
  const config = parseConfig(command.config, input, { what: command.name, label: origin });
  expectUsed(command.name, given, config);
  if (command.isIdle?.(given)) return printCommandHelp(command, io);
  const interrupt = command.interruptible ? watchInterrupts(io, command.interruptible) : undefined;
  try {
    const signal = interrupt?.signal ?? new AbortController().signal;
    const outcome = await command.run({ input, config, signal, stdout: io.stdout, stderr: io.stderr, env: io.env });
    if (outcome === "failed") return 1;
    return outcome === "interrupted" ? (interrupt?.exitCode() ?? 0) : 0;
  } catch (error) {
    const { signal } = interrupt ?? {};
    if (signal?.aborted !== true || error !== signal.reason) throw error;
    return interrupt?.exitCode() ?? 0; // a command may stop by throwIfAborted, which throws
  } finally {
    interrupt?.stop();
  }
}

/** Parses the flags. Only if this fails are the other commands loaded, so that the message can say to which of them a flag belongs. */
async function readFlags(command: Command, argv: readonly string[]): Promise<Record<string, unknown>> {
  const { name, operand } = command;
  const grammar = { flags: allFlags(command), operand };
  try {
    return parseFlags(argv, grammar, name);
  } catch {
    const loaded = await Promise.all(COMMANDS.map((entry) => entry.load()));
    const others = loaded.map((other) => ({ name: other.name, flags: allFlags(other) }));
    return parseFlags(argv, { ...grammar, others }, name);
  }
}

/** Throws if a flag was given that the data set would ignore, whatever the flag's value. */
function expectUsed(command: string, flags: object, { dataset }: { dataset?: unknown }): void {
  const [unused] = typeof dataset === "string" ? unusedOptions(dataset, flags) : [];
  if (unused === undefined) return;
  const message = unusedMessage(unused, String(dataset), { as: `--${kebabCase(unused)}` });
  throw new BatchCamError("E_CONFIG", `${command}: ${message}`);
}

/** Throws if the word that a command requires is missing. */
function expectOperand({ name, operand, config }: Command, given: Record<string, unknown>): void {
  if (operand === undefined || given[operand.key] !== undefined) return;
  const field = config.shape[operand.key];
  if (field === undefined || field.safeParse(undefined).success) return;
  const what = fieldsOf(config)[operand.key]?.description ?? operand.name;
  throw new BatchCamError(
    "E_CONFIG",
    `${name} needs ${operand.name}, which is missing: ${what}. Write \`batch-cam ${name} ${operand.name}\`, or see \`batch-cam ${name} --help\``,
  );
}

async function findCommand(name: string, commands: Registry<CommandEntry>): Promise<Command> {
  const entry = commands.find(name);
  if (entry !== undefined) return await entry.load();
  const known = commands.names.join(", ");
  throw new BatchCamError("E_CONFIG", `unknown command "${name}"${commands.hint(name)}; the commands are ${known}`);
}

async function help([name]: readonly string[], io: CliIo, commands: Registry<CommandEntry>): Promise<void> {
  if (name !== undefined && !name.startsWith("-")) printCommandHelp(await findCommand(name, commands), io);
  else io.stdout.write(formatHelp(await Promise.all(commands.items.map((entry) => entry.load()))));
}

function printCommandHelp(command: Command, { stdout }: CliIo): number {
  const columns = Math.min(stdout.columns ?? 80, 120);
  const help = { flags: allFlags(command), operand: describedOperand(command), columns };
  stdout.write(formatCommandHelp(usageOf(command), command.summary, help));
  return 0;
}

function describedOperand({ operand, config }: Command): CommandHelp["operand"] {
  if (operand === undefined) return undefined;
  const description = fieldsOf(config)[operand.key]?.description;
  return description === undefined ? undefined : { name: wordsOf(operand), description };
}

const CONFIG_FLAG: Flag = {
  name: "config",
  key: "config",
  kind: "string",
  field: {
    type: "string",
    short: "c",
    group: "Run",
    description: "YAML or JSON file with any of these options; a flag overrides the file's value",
  },
};

/** "evaluate RUN", "explain IMAGE ..." */
function usageOf({ name, operand }: Command): string {
  return operand === undefined ? name : `${name} ${wordsOf(operand)}`;
}

const wordsOf = ({ name, many }: Operand): string => `${name}${many ? " ..." : ""}`;

function allFlags(command: Command): Flag[] {
  return [...flagsOf(command.config), ...(command.merge && !command.fileOf ? [CONFIG_FLAG] : [])];
}

function version(): string {
  return (createRequire(import.meta.url)("../../package.json") as { version: string }).version;
}
