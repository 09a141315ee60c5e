import type { z } from "zod";
import type { Operand } from "./flags.ts";
import type { OutputStream } from "./io.ts";

/** With `failed`, the command has already printed what went wrong; the exit code is 1. */
export type Outcome = "done" | "interrupted" | "failed";

/** The argument of a command's `run`. */
export interface CommandCall<S extends z.ZodObject = z.ZodObject> {
  /** The values that the user gave, after the checks. Keys that were not given are absent. */
  input: z.input<S>;
  /** The same values with the defaults filled in. */
  config: z.output<S>;
  stdout: OutputStream;
  stderr: OutputStream;
  env: Record<string, string | undefined>;
  /** Aborts on Ctrl-C if the command is interruptible. */
  signal: AbortSignal;
}

export interface Command<S extends z.ZodObject = z.ZodObject> {
  name: string;
  /** One line for the help. */
  summary: string;
  /** The schema from which the flags, their help, the keys of a config file and the checks are made. */
  config: S;
  /** The config key that takes the words without a flag. */
  operand?: Operand;
  /** Merges the flags into a config file. A command that defines it accepts `--config`, or names the file by `fileOf`. */
  merge?: (file: z.input<S>, flags: z.input<S>) => z.input<S>;
  /** The config file that other flags or words name, if any. */
  fileOf?: (flags: z.input<S>) => string | undefined;
  /** Whether the given values leave nothing to do. The help is then printed instead. */
  isIdle?: (flags: z.input<S>) => boolean;
  /** For a command to which Ctrl-C is passed as an aborted signal: when it stops, in words. If it is absent, Ctrl-C ends the process. */
  interruptible?: string;
  /** Imports slow modules (the engine) itself, so that help is printed quickly. */
  run(call: CommandCall<S>): Promise<Outcome>;
}

/** Infers a command's types from its schema. */
export function defineCommand<S extends z.ZodObject>(command: Command<S>): Command {
  return command as unknown as Command;
}
