import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseTrainConfig } from "../../config/index.ts";
import { memory, tensor, tidy } from "../../tensor/index.ts";
import { guidedPrototypes, oneCycle } from "./guided-prototypes.ts";

const CONFIG = parseTrainConfig({ dataset: "mnist", seed: 3 });
const OWN = [0, 0.5, 1].map((value) => [
  [value, value / 2],
  [0.25, 0],
]);

async function made(prototypes: "class" | "shuffled" | "global" | "constant"): Promise<number[][]> {
  const own = tensor(OWN);
  const guided = await guidedPrototypes(own, { ...CONFIG, prototypes });
  const values = tidy(() =>
    guided
      .flatten(1)
      .unbind(0)
      .map((row) => Array.from(row.data() as Float32Array)),
  );
  own.dispose();
  guided.dispose();
  return values;
}

describe("guidedPrototypes", () => {
  const flat = OWN.map((image) => image.flat());

  it("are the class's own by default", async () => {
    expect(await made("class")).toEqual(flat);
  });

  it("shuffled are those of other classes, each once", async () => {
    const shuffled = await made("shuffled");
    expect(shuffled.toSorted()).toEqual(flat.toSorted());
    for (const [i, image] of shuffled.entries()) expect(image).not.toEqual(flat[i]);
  });

  it("global are the mean of all, for each class", async () => {
    expect(await made("global")).toEqual(Array(3).fill([0.5, 0.25, 0.25, 0]));
  });

  it("constant are the mean of all values, everywhere", async () => {
    expect(await made("constant")).toEqual(Array(3).fill(Array(4).fill(0.25)));
  });

  it("leave no tensor allocated, and do not free the caller's", async () => {
    const before = memory().liveTensors;
    for (const source of ["class", "shuffled", "global", "constant"] as const) await made(source);
    expect(memory().liveTensors).toBe(before);
  });
});

describe("oneCycle", () => {
  it("is one cycle through all classes, the same for a seed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(), (count, seed) => {
        const order = oneCycle(count, seed);
        const seen = new Set<number>();
        for (let at = 0; !seen.has(at); at = order[at] as number) seen.add(at);
        expect(seen.size).toBe(count);
        expect(oneCycle(count, seed)).toEqual(order);
      }),
    );
  });
});
