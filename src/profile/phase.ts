import { expectFunction, expectString } from "../arguments.ts";
import { span } from "../tensor/recording.ts";
import { callSync } from "../tensor/tidy.ts";

/**
 * Runs `fn` as a phase of a training step, under which a profile adds up its time; without a profile it is `fn()`.
 * Synchronous. In phases that nest, the outer counts without the inner.
 */
export function phase<T>(name: string, fn: () => T): T {
  expectString("phase: name", name);
  expectFunction("phase: fn", fn);
  return span("phase", name, () => callSync("phase", fn));
}
