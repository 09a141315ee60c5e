import { describe, expect, it } from "vitest";
import { exportedPath } from "../../../test/support/program-file.ts";
import { loadSafetensors } from "../../io/index.ts";
import { noGrad, type Tensor, tidy } from "../../tensor/index.ts";
import { loadExportedModel } from "./load.ts";

const versions = ["2.6", "2.8", "2.11", "2.15"];
const files = ["tiny-2.5.pt2", ...versions.flatMap((version) => [`tiny-${version}.pt2`, `tiny-${version}-strict.pt2`])];

describe.each(files)("%s", (file) => {
  it("gives the logits and the state dict of PyTorch", async () => {
    const expected = await loadSafetensors(exportedPath("tiny.safetensors"));
    const model = await loadExportedModel(exportedPath(file));
    model.eval();
    tidy(() => {
      const logits = noGrad(() => model.forward(expected.get("x") as Tensor));
      expect(logits).toBeAllclose(expected.get("logits/eval") as Tensor, { rtol: 1e-5, atol: 1e-6 });
    });
    const state = model.stateDict();
    const names = [...expected.keys()].filter((path) => path.startsWith("state/")).map((path) => path.slice(6));
    expect([...state.keys()].sort()).toEqual(names.sort());
    model.dispose();
    for (const tensor of expected.values()) tensor.dispose();
  });
});
