import { describe, expect, it } from "vitest";
import { moduleName, scopesOf } from "./scopes.ts";

const path = (written: string) => scopesOf({ nn_module_stack: `key,${written},torch.nn.Conv2d` })[0]?.path;

describe("the modules around a node", () => {
  it("are listed from the outside to the inside", () => {
    const stack = "L__self__,,Net;140538716690320,layer1.0,torchvision.models.resnet.BasicBlock";
    expect(scopesOf({ nn_module_stack: stack })).toEqual([
      { path: "", type: "Net" },
      { path: "layer1.0", type: "torchvision.models.resnet.BasicBlock" },
    ]);
  });

  it.each([
    ["layer1.0.conv", "layer1.0.conv"],
    ["L['self'].layer1[0].conv", "layer1.0.conv"],
    ['L["self"].blocks["first"]', "blocks.first"],
    ["L['self']", ""],
    ["L['self']._modules['0'].fc", "0.fc"],
    ["self.stem", "stem"],
    ["selfattention.qkv", "selfattention.qkv"],
    ["_export_root.stem", "stem"],
    ["shared@1", "shared"],
    ["shared@12.conv", "shared.conv"],
  ])("have the path of state_dict: %s", (written, expected) => {
    expect(path(written)).toBe(expected);
  });

  it("may be missing or of another form", () => {
    expect(scopesOf({})).toEqual([]);
    expect(scopesOf({ nn_module_stack: 3 })).toEqual([]);
    expect(scopesOf({ nn_module_stack: "" })).toEqual([]);
    expect(scopesOf({ nn_module_stack: ";;a" })).toEqual([]);
    expect(scopesOf({ nn_module_stack: ",;".repeat(100_000) }).length).toBeLessThan(1000);
  });

  it("are named by the innermost in messages", () => {
    expect(moduleName(scopesOf({ nn_module_stack: "k,,a.Net;k,fc,torch.nn.modules.linear.Linear" }))).toBe(
      "fc (Linear)",
    );
    expect(moduleName(scopesOf({ nn_module_stack: "k,,a.Net" }))).toBe("the model itself (Net)");
    expect(moduleName([])).toBeUndefined();
  });
});
