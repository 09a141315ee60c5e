import { optionsOf } from "../arguments.ts";
import { empty, linear, type Tensor } from "../tensor/index.ts";
import { expectCounts, expectLast } from "./checks.ts";
import { biasUniform_, kaimingUniform_ } from "./init.ts";
import { Module } from "./module.ts";
import { parameter } from "./parameter.ts";
import { settingsText } from "./print.ts";

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
