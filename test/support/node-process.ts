import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { CliResult } from "./cli.ts";

export interface ProcessOptions {
  cwd?: string;
  /** Variables in addition to those of the test's own process. */
  env?: Record<string, string | undefined>;
  /** Whether it leads a separate process group, so that a test can end the whole group. */
  detached?: boolean;
}

export interface Running {
  child: ChildProcess & { stdout: NonNullable<ChildProcess["stdout"]> };
  /** Its output so far. */
  text: { out: string; err: string };
  /** Its exit code, or the signal that ended it. */
  ended: Promise<number | string>;
}

/** Starts Node with these arguments in a separate process. */
export function startNode(args: readonly string[], { env = {}, ...options }: ProcessOptions = {}): Running {
  const child = spawn(process.execPath, args, {
    ...options,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text.out += part;
  });
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    text.err += part;
  });
  return { child, text, ended: once(child, "close").then(([code, signal]) => code ?? signal) };
}

/** Runs Node with these arguments until it ends. */
export async function runNode(
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Omit<CliResult, "code"> & { code: number | string }> {
  const { text, ended } = startNode(args, options);
  const code = await ended;
  return { code, ...text };
}

/** The command line as users start it, which runs the files that `npm run build` made. */
export const BIN = join(import.meta.dirname, "../../bin/batch-cam.mjs");
