import { afterEach, describe, expect, it } from "vitest";
import { createModel, type Model, multiplyAdds } from "../src/models/index.ts";
import { shareBehind } from "../src/models/internal.ts";
import { memory, tidy } from "../src/tensor/index.ts";
import { cli } from "./support/cli.ts";

const made: Model[] = [];
afterEach(() => {
  for (const model of made.splice(0)) model.dispose();
});

describe("multiplyAdds", () => {
  // Published numbers: torchvision's 1.81 G and 3.66 G, timm's 0.55 G.
  it.each([
    ["resnet18", 1.814e9],
    ["resnet34", 3.664e9],
    ["convnextv2_atto", 0.547e9],
  ])("of %s at 224x224 agrees with its library", (name, published) => {
    const model = createModel(name);
    made.push(model);
    expect(multiplyAdds(model, [3, 224, 224]) / published).toBeCloseTo(1, 2);
  });

  it("agrees with a count by hand: positions times weights", () => {
    const model = createModel("simple-cnn", { head: "gap" });
    made.push(model);
    const [first, second, third] = [28 * 28 * 32 * 9, 28 * 28 * 64 * 32 * 9, 14 * 14 * 128 * 64 * 9];
    expect(multiplyAdds(model, [1, 28, 28])).toBe(first + second + third + 128 * 10);
  });

  it("does not change mode, statistics and memory", () => {
    const model = createModel("resnet18", { width: 4, stem: "small" });
    made.push(model);
    const { liveTensors } = memory();
    multiplyAdds(model, [3, 32, 32]);
    expect([...model.namedModules().values()].every(({ training }) => training)).toBe(true);
    expect(tidy(() => model.namedBuffers().get("bn1.running_mean")?.abs().max().item())).toBe(0);
    expect(memory().liveTensors).toBe(liveTensors);
  });
});

describe("the share of a network behind a layer", () => {
  it("is the multiply-adds of the layers that run after it, by hand", () => {
    const model = createModel("simple-cnn", { head: "gap" });
    made.push(model);
    const [second, third] = [28 * 28 * 64 * 32 * 9, 14 * 14 * 128 * 64 * 9];
    const whole = 28 * 28 * 32 * 9 + second + third + 128 * 10;
    const behind = (layer: string) => shareBehind(model, [1, 28, 28], layer) * whole;
    expect(behind("pool2")).toBeCloseTo(128 * 10, 5);
    expect(behind("pool1")).toBeCloseTo(third + 128 * 10, 5);
    expect(behind(model.classifier)).toBe(0);
  });

  it("falls from stage to stage, and is that of the head after the last one", () => {
    const model = createModel("resnet18", { width: 4, stem: "small", numClasses: 10 });
    made.push(model);
    const shares = model.camLayers.map((layer) => shareBehind(model, [3, 32, 32], layer));
    expect(shares).toEqual([...shares].sort((a, b) => b - a));
    expect((shares.at(-1) as number) * multiplyAdds(model, [3, 32, 32])).toBeCloseTo(32 * 10, 5);
  });
});

describe("batch-cam models", () => {
  const table = (...argv: string[]) => cli("models", ...argv);

  it("names the stem and the target layer that `train` uses at a size, and the maps of the stages", async () => {
    const { code, out } = await table("--model", "resnet18");
    expect(code).toBe(0);
    expect(out).toMatch(/^images of 28x28, channels 1, classes 10\n/);
    expect(out).toMatch(/^resnet18 +11\.17 M +455\.80 M +28x28 14x14 7x7 4x4 +layer3 +stem small$/m);
  });

  it("marks images that are too small", async () => {
    expect((await table("--image-size", "8", "--model", "convnextv2_atto")).out).toMatch(
      /^convnextv2_atto +images too small$/m,
    );
  });

  it("refuses an unknown model, suggesting the most similar one", async () => {
    const { code, err } = await table("--model", "resnet81");
    expect(code).toBe(2);
    expect(err).toMatch(/did you mean "resnet18"\?/);
  });
});
