import { gelu, type Tensor } from "../tensor/index.ts";
import { Module } from "./module.ts";

/** max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** x·Φ(x), exact; "tanh" is the approximation x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
export class GELU extends Module {
  readonly approximate: "none" | "tanh";

  constructor({ approximate = "none" }: { approximate?: "none" | "tanh" } = {}) {
    super();
    this.approximate = approximate;
  }

  override forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.approximate });
  }
}
