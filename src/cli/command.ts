import type { z } from "zod";
import type { Operand } from "./flags.ts";
import type { OutputStream } from "./io.ts";

/** `failed`: it has said what went wrong, and the exit code is 1. */
export type Outcome = "done" | "interrupted" | "failed";

/** What a command's `run` receives. */
export interface CommandCall<S extends z.ZodObject = z.ZodObject> {
  /** What the user gave, checked; the keys not given are absent. */
  input: z.input<S>;
  /** The same with the defaults. */
  config: z.output<S>;
  stdout: OutputStream;
  stderr: OutputStream;
  env: Record<string, string | undefined>;
  /** Aborts at Ctrl-C when the command is interruptible. */
  signal: AbortSignal;
}

export interface Command<S extends z.ZodObject = z.ZodObject> {
  name: string;
  /** One line for the help. */
  summary: string;
  /** Flags, their help, the keys of a config file and the checks all come from it. */
  config: S;
  /** What words without a flag are for. */
  operand?: Operand;
  /** How flags win over a config file; a command that has it takes `--config`, or names the file by `fileOf`. */
  merge?: (file: z.input<S>, flags: z.input<S>) => z.input<S>;
  /** The config file that other flags or words name. */
  fileOf?: (flags: z.input<S>) => string | undefined;
  /** Whether what was given names nothing to do: the help is printed in place of a run. */
  isIdle?: (flags: z.input<S>) => boolean;
  /** Where Ctrl-C reaches `run` as an aborted signal: when it then stops, in words. Without it Ctrl-C ends the process. */
  interruptible?: string;
  /** Imports what is slow to load (the engine) itself, so that help stays fast. */
  run(call: CommandCall<S>): Promise<Outcome>;
}

/** Types a command by its schema. */
export function defineCommand<S extends z.ZodObject>(command: Command<S>): Command {
  return command as unknown as Command;
}
