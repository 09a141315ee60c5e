import { main } from "../../src/cli/main.ts";
import { fakeIo } from "./fake-terminal.ts";

export interface CliResult {
  /** The exit code. */
  code: number;
  /** The text that the command wrote to standard output. */
  out: string;
  /** The text that the command wrote to standard error. */
  err: string;
}

/** Runs `batch-cam` with these arguments inside the test's process, on the sources. */
export async function cli(...argv: string[]): Promise<CliResult> {
  const { io, text } = fakeIo();
  const code = await main(argv, io);
  return { code, ...text };
}
