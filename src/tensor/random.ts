import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { native } from "../native/addon.ts";
import { check, type Handle } from "../native/dispatch.ts";
import { handleOf } from "./core.ts";
import { Tensor } from "./tensor.ts";

/** Seeds this thread's generator (a Mersenne Twister, as torch's on the CPU). The same seed gives the same bits. */
export function manualSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new BatchCamError(
      "E_ARGUMENT",
      `manualSeed: seed must be an integer from 0 to 2^53 - 1, got ${describeValue(seed)}`,
    );
  }
  native.manualSeed(seed);
}

/** The generator's whole state, uint8; `setRngState` continues the sequence from it. */
export function getRngState(): Tensor {
  return new Tensor(check("getRngState", native.rngState()) as Handle);
}

export function setRngState(state: Tensor): void {
  check("setRngState", native.setRngState(handleOf(state, "setRngState: state")));
}
