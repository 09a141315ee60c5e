import { describe, expect, it } from "vitest";
import { cli } from "../../../test/support/cli.ts";

const print = (...argv: string[]) => cli("export-recipe", ...argv);

describe("batch-cam export-recipe", () => {
  it("prints the Python for every source", async () => {
    const { code, out } = await print();
    expect(code).toBe(0);
    expect(out.match(/^torch\.export\.save\(program, "\w+\.pt2"\)$/gm)).toHaveLength(3);
    expect(out.match(/\.eval\(\)/g)).toHaveLength(3);
    expect(out.match(/torch\.randn\(2, 3, 224, 224\)/g)).toHaveLength(3);
  });

  it("prints one source with the model, its classes and the size of images", async () => {
    const { out } = await print(
      "--source",
      "timm",
      "--model",
      "hf-hub:timm/vit.a1",
      "--classes",
      "7",
      "--image-size",
      "64",
    );
    expect(out).toContain('timm.create_model("hf-hub:timm/vit.a1", pretrained=True, num_classes=7).eval()');
    expect(out).toContain("torch.randn(2, 3, 64, 64)");
    expect(out).toContain('torch.export.save(program, "hf-hub_timm_vit.a1.pt2")');
    expect(out).not.toContain("torchvision");
    expect((await print("--source", "own", "--model", "nets.small.Net")).out).toMatch(
      /^from nets\.small import Net\n\nmodel = Net\(\) {2}# your constructor's own arguments$/m,
    );
  });

  it("keeps the pretrained weights of torchvision where the classes are other ones", async () => {
    const { out } = await print("--source", "torchvision", "--model", "resnet18", "--classes", "3");
    expect(out).toContain('get_model("resnet18", weights="DEFAULT").state_dict()');
    expect(out).toContain('get_model("resnet18", weights=None, num_classes=3).eval()');
  });

  it.each([
    [["--model", 'x"); import os; ("'], /--model must be the name of a model/],
    [["--source", "own", "--model", "1x"], /--model must be a module and a class/],
    [["--source", "own", "--model", "name"], /must be a module and a class with a dot between them, .* got "name"/],
    [["--source", "own", "--model", "nets."], /with a dot between them/],
    [["--source", "tim"], /did you mean "timm"|timm, torchvision/],
    [["--image-size", "0"], /--image-size/],
  ])("refuses %s", async (argv, message) => {
    const { code, err, out } = await print(...argv);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
  });
});
