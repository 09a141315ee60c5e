import { expect } from "vitest";
import type { Model } from "../../src/models/index.ts";
import { backward, type DType, type Tensor, tidy } from "../../src/tensor/index.ts";
import { crossEntropyLoss } from "../../src/tensor/layers.ts";
import type { Fixture } from "./fixtures.ts";
import { networkOf } from "./reference-networks.ts";

/** How a network is run for the comparison with its fixture `model_*`. */
export interface NetworkRun {
  mode: "eval" | "train";
  dtype: DType;
  /** The mode whose numbers in the fixture are compared. Networks without batch norm have one set for both modes. */
  against?: "eval" | "train";
}

/** The manifest's tolerances for float32; float64 results may differ only by rounding. */
export function tolerancesOf({ tolerance: { rtol, atol, relL2, absL2 } }: Fixture, dtype: DType) {
  if (dtype === "float64") return { values: { rtol: 1e-10, atol: 1e-12 }, norms: { relL2: 1e-10, absL2: 1e-12 } };
  return { values: { rtol, atol }, norms: { relL2, absL2 } };
}

/** Compares logits, loss, activations, gradients and running statistics with those of the fixture. */
export function expectNetwork(reference: Fixture, { mode, dtype, against = mode }: NetworkRun): void {
  tidy(() => {
    using owned = disposable(networkOf(reference));
    const model = owned.model.to(dtype).train(mode === "train");
    const x = reference.tensor("input/x").to(dtype);
    const activations = reference.names(`out/${against}/act/`).map((path) => [layerOf(path), path] as const);
    const last = reference.params.feat_last_is as string;
    const { logits, taps } = model.forwardWith(x, { taps: [last, ...activations.map(([layer]) => layer)] });
    const loss = crossEntropyLoss(logits, reference.tensor("input/y").to("int64"));
    const { values } = tolerancesOf(reference, dtype);
    expect(logits).toBeAllclose(reference.reference(`out/${against}/logits`), values);
    expect(loss.reshape([1])).toBeAllclose(reference.reference(`out/${against}/loss`), values);
    expect(taps[last] as Tensor).toBeAllclose(reference.reference(`out/${against}/feat_last`), values);
    for (const [layer, path] of activations) {
      const { rtol, atol } = reference.tolerance; // the fixture has no float64 activations
      expect(taps[layer] as Tensor, layer).toBeAllclose(reference.tensor(path), { rtol, atol });
    }
    backward(loss);
    expectGradients(model, reference, { against, dtype });
    expectStatistics(model, reference, { against, dtype });
  });
}

const disposable = (model: Model) => ({ model, [Symbol.dispose]: () => model.dispose() });
const layerOf = (path: string) => path.split("/").slice(3).join("/");

type Comparison = Required<Pick<NetworkRun, "against" | "dtype">>;

function expectGradients(model: Model, reference: Fixture, { against, dtype }: Comparison): void {
  const { norms } = tolerancesOf(reference, dtype);
  const gradients = Array.from(model.namedParameters(), ([name, weight]) => [name, weight.grad as Tensor] as const);
  expect(gradients.map(([name]) => name)).toEqual(reference.params.parameter_order);
  const lengths = gradients.map(([, gradient]) => gradient.norm().item());
  const expected = reference.reference(`out/${against}/grad_l2`);
  expect(lengths).toBeAllclose(expected, { rtol: norms.relL2, atol: norms.absL2 });
  for (const [index, [name, gradient]] of gradients.entries()) {
    const stored = `grad/${against}/${name}`;
    if (reference.has(stored)) expect(gradient, name).toHaveRelL2(reference.reference(stored), norms);
    if (!reference.has(`out64/${against}/grad_head8`)) continue;
    const first = gradient.flatten().narrow(0, 0, Math.min(8, gradient.numel));
    const head = reference.tensor(`out64/${against}/grad_head8`).select(0, index).narrow(0, 0, first.numel);
    // The error is compared with the norm of the whole gradient, of which the stored entries may be a small part.
    const allowed = norms.relL2 * (lengths[index] as number) + norms.absL2;
    expect(first, name).toHaveRelL2(head, { relL2: 0, absL2: allowed });
  }
}

function expectStatistics(model: Model, reference: Fixture, { against, dtype }: Comparison): void {
  const { values } = tolerancesOf(reference, dtype);
  const buffers = model.namedBuffers();
  const stored = reference.names(`out/${against}/after/`);
  for (const path of stored) {
    expect(buffers.get(layerOf(path)) as Tensor, path).toBeAllclose(reference.reference(path), values);
  }
  const batches = [...buffers].filter(([name]) => name.endsWith("num_batches_tracked"));
  expect(stored.length).toBe(against === "train" ? 2 * batches.length : 0);
  for (const [, count] of batches) expect(count.item()).toBe(against === "train" ? 1 : 0);
}
