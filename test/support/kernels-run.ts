import { profile } from "../../src/profile/index.ts";
import { tidy } from "../../src/tensor/index.ts";

/**
 * Names of the operators that run in `fn`, libtorch's and this package's ("batch_cam::conv_relu"): a test that compares a
 * kernel with the layers that it stands for must see that it ran, and not the layers a second time.
 */
export function kernelsRunBy(fn: () => unknown): string[] {
  const { events } = profile(() => tidy(() => void fn()), { steps: 1, skip: 0 });
  return [...new Set(events.filter(({ kind }) => kind === "operator").map(({ name }) => name))];
}
