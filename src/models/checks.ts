import { hint } from "../config/index.ts";
import { BatchCamError } from "../errors.ts";

/** Fails with E_CONFIG unless every value is an integer of at least 1. */
export function expectSizes(model: string, sizes: Record<string, number>): void {
  for (const [option, value] of Object.entries(sizes)) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new BatchCamError("E_CONFIG", `${model}: ${option} must be an integer >= 1, got ${JSON.stringify(value)}`);
  }
}

/** Fails with E_CONFIG unless the value is one of the choices. */
export function expectOneOf(
  model: string,
  option: string,
  [value, choices]: readonly [string, readonly string[]],
): void {
  if (choices.includes(value)) return;
  const known = choices.map((choice) => JSON.stringify(choice)).join(" or ");
  throw new BatchCamError("E_CONFIG", `${model}: ${option} must be ${known}, got ${JSON.stringify(value)}`);
}

/** Fails with E_CONFIG for an option that the model does not have. */
export function expectKnownOptions(model: string, options: object, known: readonly string[]): void {
  const wrong = Object.entries(options).find(([option, value]) => value !== undefined && !known.includes(option));
  if (wrong !== undefined) {
    throw new BatchCamError(
      "E_CONFIG",
      `${model}: unknown option ${JSON.stringify(wrong[0])}${hint(wrong[0], known)}; known: ${known.join(", ")}`,
    );
  }
}
