import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { node, program, weight } from "../../../test/support/exported-program.ts";
import { explain } from "../../cam/index.ts";
import { manualSeed, randn, tensor, tidy } from "../../tensor.ts";
import { exampleImages } from "./example-images.ts";
import { ExportedModel } from "./exported-model.ts";
import { loadExportedModel } from "./load.ts";
import { outputsOfFile, outputsOfPass } from "./module-outputs.ts";
import type { Node, ProgramTensor } from "./program.ts";
import { readProgram } from "./read-program.ts";
import { reshapedAxes } from "./reshaped-axes.ts";

// A network of tokens: 8 x 8 patches of an image of 32 x 32, in an order of their own, then a residual block and a linear head.

const CHANNELS = 16;

/** The patches as maps "p" (N, 16, 8, 8), and behind `order` as tokens "t" (N, 64, 16), which the block "stage" reads. */
function tokenNetwork(order: readonly Node[], weights: readonly ProgramTensor[] = []): ExportedModel {
  const patch = { input: "x", weight: "p_patch_weight", stride: [4, 4] };
  const nodes = [
    node("p", "aten.conv2d.default", patch, "patch"),
    ...order,
    node("l", "aten.linear.default", { input: "t", weight: "p_stage_fc_weight" }, "stage.fc"),
    node("g", "aten.gelu.default", { self: "l" }, "stage"),
    node("s", "aten.add.Tensor", { self: "t", other: "g" }, "stage"),
    node("m", "aten.mean.dim", { self: "s", dim: [1] }),
    node("logits", "aten.linear.default", { input: "m", weight: "p_fc_weight" }, "fc"),
  ];
  const own = [
    weight("patch.weight", randn([CHANNELS, 3, 4, 4])),
    weight("stage.fc.weight", randn([CHANNELS, CHANNELS])),
    weight("fc.weight", randn([3, CHANNELS])),
  ];
  return new ExportedModel(program({ nodes, weights: [...own, ...weights], sizes: [null, 3, 32, 32] }), "test.pt2");
}

const flattened = (from: string): Node[] => [
  node("f", "aten.flatten.using_ints", { self: from, start_dim: 2 }),
  node("t", "aten.transpose.int", { self: "f", dim0: 1, dim1: 2 }),
];

/** Tokens window by window, 4 x 4 cells each: (N, C, 2, 4, 2, 4) to (N, 2·2·4·4, C). */
const windows: Node[] = [
  node("w", "aten.reshape.default", { self: "p", shape: [-1, CHANNELS, 2, 4, 2, 4] }),
  node("v", "aten.permute.default", { self: "w", dims: [0, 2, 4, 3, 5, 1] }),
  node("t", "aten.reshape.default", { self: "v", shape: [-1, 64, CHANNELS] }),
];

/** The patches one by one from coarse to fine, as Hiera unrolls them. */
const unrolled: Node[] = [
  node("w", "aten.reshape.default", { self: "p", shape: [-1, CHANNELS, 2, 2, 2, 2, 2, 2] }),
  node("v", "aten.permute.default", { self: "w", dims: [0, 4, 7, 3, 6, 2, 5, 1] }),
  node("t", "aten.reshape.default", { self: "v", shape: [-1, 64, CHANNELS] }),
];

const indexed = (order: readonly number[]): ExportedModel =>
  tokenNetwork(
    [
      ...flattened("p").slice(0, 1),
      node("u", "aten.transpose.int", { self: "f", dim0: 1, dim1: 2 }),
      node("t", "aten.index_select.default", { self: "u", dim: 1, index: "b_buffer_order" }),
    ],
    [weight("buffer_order", tensor([...order], { dtype: "int64" }))],
  );

describe("tokens in the order of the image", () => {
  it("are maps, behind any operators that keep it", () =>
    tidy(() => {
      manualSeed(2);
      const model = tokenNetwork(flattened("p"));
      expect([model.camLayer, model.layoutOf("stage")]).toEqual(["stage", "tokens (N, 8 x 8, C)"]);
      const there = indexed(Array.from({ length: 64 }, (_item, i) => i));
      expect(there.layoutOf("stage")).toBe("tokens (N, 8 x 8, C)");
    }));

  it("are maps again when windows have been put back", () =>
    tidy(() => {
      manualSeed(2);
      const model = tokenNetwork([
        node("w", "aten.reshape.default", { self: "p", shape: [-1, CHANNELS, 2, 4, 2, 4] }),
        node("v", "aten.permute.default", { self: "w", dims: [0, 2, 4, 3, 5, 1] }),
        node("r", "aten.permute.default", { self: "v", dims: [0, 1, 3, 2, 4, 5] }),
        node("t", "aten.reshape.default", { self: "r", shape: [-1, 64, CHANNELS] }),
      ]);
      expect(model.layoutOf("stage")).toBe("tokens (N, 8 x 8, C)");
    }));
});

describe("tokens in another order", () => {
  const flipped = (dims: number[]) => [node("q", "aten.flip.default", { self: "p", dims }), ...flattened("q")];
  it.each([
    ["windows", windows],
    ["unrolled", unrolled],
    ["columns first", [node("q", "aten.transpose.int", { self: "p", dim0: 2, dim1: 3 }), ...flattened("q")]],
    ["upside down", flipped([2])],
    ["mirrored", flipped([3])],
    ["rolled", [node("q", "aten.roll.default", { self: "p", shifts: [4, 4], dims: [2, 3] }), ...flattened("q")]],
  ] as const)("are no maps: %s", (_name, order) =>
    tidy(() => {
      manualSeed(2);
      const model = tokenNetwork(order);
      expect(model.layoutOf("stage")).toBeNull();
      expect(model.camLayer).toBe("patch");
      expect(model.moduleOutputs.find(({ path }) => path === "stage.fc")?.layout).toBeNull();
    }),
  );

  it("are no maps: any permutation that moves most tokens far away", () => {
    const order = Array.from({ length: 64 }, (_item, i) => i);
    fc.assert(
      fc.property(fc.shuffledSubarray(order, { minLength: 64 }), (shuffled) =>
        tidy(() => {
          expect(indexed(shuffled).layoutOf("stage")).toBeNull();
        }),
      ),
      { numRuns: 10, seed: 4 },
    );
  });

  it("are refused with the reason if they are named, and taken with a transform of the caller's", () =>
    tidy(() => {
      const model = tokenNetwork(windows);
      const x = randn([1, 3, 32, 32]);
      expect(() => explain(model, x, { method: "GradCAM", layer: "stage" })).toThrow(
        /output \[N, 64, 16\] of stage does not have its cells in the order of the image.*reshapeTransform/,
      );
      const reshapeTransform = (output: ReturnType<typeof randn>) =>
        output.reshape([1, 2, 2, 4, 4, CHANNELS]).permute([0, 5, 1, 3, 2, 4]).reshape([1, CHANNELS, 8, 8]);
      const given = explain(model, x, { method: "GradCAM", layer: "stage", reshapeTransform });
      const plain = tokenNetwork(flattened("p"));
      plain.loadStateDict(model.stateDict());
      const { maps } = explain(plain, x, { method: "GradCAM", layer: "stage" });
      expect(given.maps).toBeAllclose(maps, { rtol: 1e-4, atol: 1e-5 });
    }));
});

describe("what only looks like maps", () => {
  it("is refused: the weights of an attention (N, heads, T, T)", () =>
    tidy(() => {
      const model = tokenNetwork([
        ...flattened("p").slice(0, 1),
        node("u", "aten.transpose.int", { self: "f", dim0: 1, dim1: 2 }),
        node("k", "aten.matmul.default", { self: "u", other: "f" }),
        node("k1", "aten.unsqueeze.default", { self: "k", dim: 1 }),
        node("k2", "aten.softmax.int", { self: "k1", dim: -1 }, "attention"),
        node("k3", "aten.squeeze.dim", { self: "k2", dim: 1 }),
        node("t", "aten.matmul.default", { self: "k3", other: "u" }),
      ]);
      expect(model.layoutOf("attention")).toBeNull();
      const x = randn([1, 3, 32, 32]);
      expect(() => explain(model, x, { method: "GradCAM", layer: "attention" })).toThrow(
        /\[N, 1, 64, 64\] of attention/,
      );
    }));
});

describe("the sizes that a file names", () => {
  const pathOf = (name: string) =>
    fileURLToPath(new URL(`../../../test/fixtures/exported/${name}.pt2`, import.meta.url));

  it.each(["timm_vit", "timm_convnext", "timm_densenet", "torchvision_mobilenet_v2", "own_branches", "tiny-2.5"])(
    "are those of a pass, of %s",
    async (name) => {
      const given = await readProgram(pathOf(name));
      using model = await loadExportedModel(pathOf(name));
      tidy(() => {
        const sizes = [model.fixedBatch ?? 2, ...(model.imageSize as readonly number[])];
        const { outputs, logits } = outputsOfPass(model, exampleImages(sizes, { dtype: "float32", device: "cpu" }));
        expect(logits[1]).toBe(model.numClasses);
        expect(model.moduleOutputs.map(({ path, sizes: own }) => ({ path, sizes: own }))).toEqual(outputs);
        const withoutSizes = { ...given, graph: { ...given.graph, sizes: new Map() } };
        expect(
          outputsOfFile(
            withoutSizes,
            { items: [{ path: "a", items: [], last: 0, output: "b" }], nameAt: (_i, n) => n },
            sizes,
          ),
        ).toBeNull();
        for (const { tensor: own } of given.tensors) own.dispose();
      });
    },
  );
});

describe("rows and columns through a reshape", () => {
  const maps = { row: 2, column: 3 };
  const cells = { cells: 1, prefix: 0, height: 8, width: 8 };
  it.each([
    ["joined", maps, ["n", 4, 8, 6], ["n", 4, 48], { cells: 2, prefix: 0, height: 8, width: 6 }],
    ["kept", maps, ["n", 4, 8, 6], ["n", 2, 2, 8, 6], { row: 3, column: 4 }],
    ["apart again", cells, ["n", 64, 4], ["n", 8, 8, 4], { row: 1, column: 2 }],
    ["divided into windows", cells, ["n", 64, 4], ["n", 4, 16, 4], null],
    ["rows divided", maps, ["n", 4, 8, 6], ["n", 4, 2, 4, 6], null],
    ["joined with channels", maps, ["n", 4, 8, 6], ["n", 32, 6], null],
    ["behind a class token", { ...cells, prefix: 1 }, ["n", 65, 4], ["n", 65, 2, 2], { ...cells, prefix: 1 }],
  ] as const)("are found: %s", (_name, axes, before, after, expected) => {
    expect(reshapedAxes(axes, before, after)).toEqual(expected);
  });
});
