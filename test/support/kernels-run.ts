import { profile } from "../../src/profile/index.ts";
import { tidy } from "../../src/tensor/index.ts";

/**
 * The names of the operators that run in `fn`, both libtorch's and this package's ("batch_cam::conv_relu"). A test that compares a kernel
 * with the layers that it replaces must check that the kernel ran, because otherwise it would compare the layers with themselves.
 */
export function kernelsRunBy(fn: () => unknown): string[] {
  const { events } = profile(() => tidy(() => void fn()), { steps: 1, skip: 0 });
  return [...new Set(events.filter(({ kind }) => kind === "operator").map(({ name }) => name))];
}
