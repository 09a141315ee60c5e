import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BatchCamError } from "../../src/errors.ts";

export interface Ending {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  /** The last line that the program printed, parsed as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: each program has different results.
  result: any;
}

/** So long that only a hang exceeds it, even on a busy machine. */
const TIMEOUT = 580_000;
const BUILT = new URL("../../dist/tensor.js", import.meta.url);

/**
 * Runs test/programs/`name` in a separate process on the built package, as a user's program would run. It returns however the program ends,
 * because a crash is a result too.
 */
export function runProgram(
  name: string,
  args: readonly string[] = [],
  execArgv: readonly string[] = [],
): Promise<Ending> {
  if (!existsSync(BUILT)) throw new BatchCamError("E_IO", "the package is not built: run `npm run setup`");
  const path = fileURLToPath(new URL(`../programs/${name}`, import.meta.url));
  const options = { timeout: TIMEOUT, killSignal: "SIGKILL", maxBuffer: 2 ** 26 } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [...execArgv, path, ...args], options, (error, stdout, stderr) => {
      if (error?.killed) reject(new Error(`${name} ${args.join(" ")} did not end within ${TIMEOUT / 1000} s`));
      else resolve({ code: child.exitCode, signal: child.signalCode, stdout, stderr, result: lastLine(stdout) });
    });
  });
}

function lastLine(stdout: string): unknown {
  try {
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  } catch {
    return undefined;
  }
}
