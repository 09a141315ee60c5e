import { native } from "../native/addon.ts";
import { callSync } from "./tidy.ts";

export { inPlaceCalls } from "../native/dispatch.ts";

/**
 * Runs `fn` while autograd keeps copies of the values that it saves for the backward pass, so that operators that work in
 * place may overwrite any of them afterwards. Costs the memory of a copy for each saved value. Synchronous.
 */
export function copyingSaved<T>(operation: string, fn: () => T): T {
  const before = native.copySaved(true);
  try {
    return callSync(operation, fn);
  } finally {
    native.copySaved(before);
  }
}

/** Whether an error says that autograd needs a value that an operator overwrote in place, or may not overwrite. */
export function isOverwritten(error: unknown): boolean {
  return /modified by an inplace operation|in-place operation|modified inplace|is being modified inplace/.test(
    String(error),
  );
}
