import { optionsOf, wrongArgument } from "../arguments.ts";
import { gelu, relu, type Tensor } from "../tensor/index.ts";
import { Module } from "./module.ts";
import { settingsText } from "./print.ts";

/** max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** x·Φ(x), exact; "tanh" is the approximation x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
export class GELU extends Module {
  readonly approximate: "none" | "tanh";

  constructor(options: { approximate?: "none" | "tanh" } = {}) {
    super();
    const { approximate = "none" } = optionsOf("GELU", options, ["approximate"]);
    if (approximate !== "none" && approximate !== "tanh")
      throw wrongArgument("GELU: approximate", '"none" or "tanh"', approximate);
    this.approximate = approximate;
  }

  override extraRepr(): string {
    return settingsText([], { approximate: this.approximate });
  }

  override forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.approximate });
  }
}
