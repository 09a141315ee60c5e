import { inFlags } from "./flags.ts";
import type { OutputStream } from "./io.ts";

/** A function that prints warnings of the library, with options named as flags. */
export const warnTo =
  (stderr: OutputStream) =>
  (message: string): void =>
    void stderr.write(`warning: ${inFlags(message)}\n`);
