import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { batchCam, normalizeMaps } from "../../cam/index.ts";
import { crossEntropy } from "../../losses/index.ts";
import { cat, grad, interpolate, loadSafetensors, memory, noGrad, type Tensor, tidy } from "../../tensor.ts";
import type { ExportedModel } from "./exported-model.ts";
import { loadExportedModel } from "./load.ts";

// Six models of timm, torchvision and our own Python, exported in evaluation mode, with PyTorch's numbers next to them.

const FOLDER = new URL("../../../test/fixtures/exported/", import.meta.url);
const pathOf = (file: string) => fileURLToPath(new URL(file, FOLDER));

interface Case {
  name: string;
  input: [number, number, number];
  classes: number;
  layer: string | null;
  tolerance: { rtol: number; atol: number; gradient_rel_l2: number };
}
const { cases } = JSON.parse(readFileSync(pathOf("manifest.json"), "utf8")) as { cases: Case[] };

/** Training mode without dropout, in which the numbers were made. */
function trainWithoutDropout(model: ExportedModel): void {
  vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  model.train();
  for (const module of model.namedModules().values()) if (module.typeName() === "Dropout") module.eval();
}

afterEach(() => void vi.restoreAllMocks());

describe.each(cases)("$name", ({ name, input, classes, layer, tolerance }) => {
  const { rtol, atol } = tolerance;
  let model: ExportedModel;
  let tensors: Map<string, Tensor>;
  const numbers = (key: string) => tensors.get(key) as Tensor;
  const keysOf = (prefix: string) => [...tensors.keys()].filter((key) => key.startsWith(prefix));
  const test = (title: string, run: () => void) => it(title, () => tidy(run));

  beforeAll(async () => {
    model = await loadExportedModel(pathOf(`${name}.pt2`));
    tensors = await loadSafetensors(pathOf(`${name}.safetensors`));
  });
  afterAll(() => {
    model.dispose();
    for (const tensor of tensors.values()) tensor.dispose();
  });

  test("gives PyTorch's logits in evaluation mode, with and without a graph", () => {
    const x = numbers("x");
    expect(noGrad(() => model.forward(x))).toBeAllclose(numbers("logits/eval"), { rtol, atol });
    expect(model.forward(x).detach()).toBeAllclose(numbers("logits/eval"), { rtol, atol });
    expect(model.numClasses).toBe(classes);
    expect(model.imageSize).toEqual(input);
    expect(model.fixedBatch).toBeNull();
  });

  test("gives the same logits for one image, two and seven", () => {
    const [x, expected] = [numbers("x"), numbers("logits/eval")];
    for (const images of [[0], [2, 1], [0, 1, 2, 3, 0, 1, 2]]) {
      const rows = (of: Tensor) => images.map((i) => of.narrow(0, i, 1));
      const batch = noGrad(() => model.forward(stacked(rows(x))));
      expect(batch).toBeAllclose(stacked(rows(expected)), { rtol, atol });
    }
  });

  test("gives PyTorch's tap, map and gradients of a loss on maps", () => {
    const [x, y] = [numbers("x"), numbers("y")];
    const { logits, taps } = model.forwardWith(x, { taps: layer === null ? [] : [layer] });
    let loss = crossEntropy(logits, y);
    if (layer !== null) {
      const tap = taps[layer] as Tensor;
      expect(tap.detach()).toBeAllclose(numbers("tap"), { rtol, atol });
      const cam = batchCam(logits, tap, y);
      expect(cam.detach()).toBeAllclose(numbers("cam"), { rtol, atol });
      const maps = normalizeMaps(interpolate(cam, { size: [input[1], input[2]] }), { eps: 1e-2 });
      loss = loss.add(maps.sub(numbers("prototypes").indexSelect(0, y)).square().mean().mul(0.5));
    }
    expect(loss.item()).toBeCloseTo(numbers("loss").item(), 4);
    const parameters = model.namedParameters();
    for (const key of keysOf("grad/")) {
      const parameter = parameters.get(key.slice("grad/".length)) as Tensor;
      const [gradient] = grad(loss, [parameter], { retainGraph: true });
      expect(gradient).toHaveRelL2(numbers(key), { relL2: tolerance.gradient_rel_l2, absL2: 1e-8 });
    }
  });

  test("leaves the images as they are, and no tensor behind", () => {
    const [x, before] = [numbers("x"), numbers("x").clone()];
    const run = () => tidy(() => void noGrad(() => model.forward(x)));
    run(); // makes the folded weights, which stay
    const { liveTensors } = memory();
    run();
    tidy(() => void model.forward(x));
    expect(memory().liveTensors).toBe(liveTensors);
    expect(x).toBeAllclose(before, { rtol: 0, atol: 0 });
  });

  test("gives PyTorch's logits and running statistics in training mode", () => {
    trainWithoutDropout(model);
    expect(noGrad(() => model.forward(numbers("x")))).toBeAllclose(numbers("logits/train"), { rtol, atol });
    const state = model.stateDict();
    for (const key of keysOf("after/")) {
      const statistic = key.slice("after/".length);
      expect(state.get(statistic), statistic).toBeAllclose(numbers(key), { rtol, atol });
    }
    for (const [key, tensor] of state) if (key.endsWith("num_batches_tracked")) expect(tensor.item(), key).toBe(1);
  });
});

const stacked = (rows: Tensor[]): Tensor => cat(rows, 0);
