import { BatchCamError, type ErrorCode } from "../errors.ts";
import type { CliIo } from "./io.ts";

/** Codes of errors that the user can correct: a wrong option, path or file. */
const USER_MISTAKES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "E_CONFIG",
  "E_DATA",
  "E_CHECKPOINT",
  "E_IO",
  "E_ARGUMENT",
  "E_NUMERIC",
]);

/** Prints an error and returns the exit code: 2 for the user's mistakes, 1 for other failures. */
export function reportFailure(error: unknown, { stderr, env }: Pick<CliIo, "stderr" | "env">): number {
  const known = error instanceof BatchCamError;
  const mistake = known && USER_MISTAKES.has(error.code);
  const message = error instanceof Error ? error.message : String(error);
  const head = known ? "batch-cam: " : "batch-cam: unexpected error: ";
  stderr.write(`${head}${mistake ? message.replace(/\s*\n\s*/g, " ") : message}\n`);
  if (!known || env.BATCH_CAM_DEBUG === "1") stderr.write(`${stackOf(error)}\n`);
  return mistake ? 2 : 1;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const frames = (error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  const cause =
    error.cause === undefined ? [] : [`caused by: ${error.cause instanceof Error ? error.cause.stack : error.cause}`];
  return [...frames, ...cause].join("\n");
}
