import { optionsOf, wrongArgument } from "../../arguments.ts";
import { empty, gelu, linear, relu, type Tensor } from "../../tensor/index.ts";
import { expectCounts, expectLast } from "../../tensor/internal.ts";
import { Module } from "../module.ts";
import { biasUniform_, kaimingUniform_, parameter } from "../parameter.ts";
import { settingsText } from "../print.ts";

/** y = x·weightᵀ + bias, (..., inFeatures) → (..., outFeatures). Initialised as in torch. */
export class Linear extends Module {
  readonly weight: Tensor; // (outFeatures, inFeatures)
  readonly bias: Tensor | null; // (outFeatures)
  readonly inFeatures: number;

  constructor(inFeatures: number, outFeatures: number, options: { bias?: boolean } = {}) {
    super();
    const { bias = true } = optionsOf("Linear", options, ["bias"]);
    expectCounts("Linear", { inFeatures, outFeatures });
    this.inFeatures = inFeatures;
    this.weight = parameter(kaimingUniform_(empty([outFeatures, inFeatures])));
    this.bias = bias ? parameter(biasUniform_(empty([outFeatures]), this.weight)) : null;
  }

  override extraRepr(): string {
    const [outFeatures = 0] = this.weight.sizes;
    return settingsText([], {
      in_features: this.inFeatures,
      out_features: outFeatures,
      bias: this.bias !== null,
    });
  }

  override forward(x: Tensor): Tensor {
    expectLast("Linear", x, this.inFeatures);
    return linear(x, this.weight, this.bias);
  }
}

/** max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** x·Φ(x), computed exactly by default; "tanh" is the approximation x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
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
