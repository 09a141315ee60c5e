import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { native } from "../native/addon.ts";

/** How many threads one operator may use. */
export function setNumThreads(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > 1024) {
    throw new BatchCamError("E_ARGUMENT", `setNumThreads: expected 1 to 1024, got ${describeValue(count)}`);
  }
  native.setThreads(count);
}

export function getNumThreads(): number {
  return native.getThreads();
}
