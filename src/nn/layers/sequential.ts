import { expectNumber, wrongArgument } from "../../arguments.ts";
import type { Tensor } from "../../tensor/index.ts";
import { expectTensor } from "../../tensor/internal.ts";
import { convNorm } from "../fused/conv-norm.ts";
import { Module } from "../module.ts";
import { settingsText } from "../print.ts";
import { BatchNorm2d } from "./norm.ts";
import { Conv2d } from "./spatial.ts";

/** y = x. */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}

/** Joins the dimensions from `start` to `end`, by default (N, C, H, W) → (N, C·H·W). */
export class Flatten extends Module {
  readonly start: number;
  readonly end: number;

  constructor(start = 1, end = -1) {
    super();
    this.start = start;
    this.end = end;
  }

  override extraRepr(): string {
    return settingsText([], { start_dim: this.start, end_dim: this.end });
  }

  override forward(x: Tensor): Tensor {
    expectTensor(x, "Flatten: x");
    return x.flatten(this.start, this.end);
  }
}

/** Runs modules one after the other. Their names are "0", "1" … */
export class Sequential extends Module {
  constructor(...modules: Module[]) {
    super();
    for (const [index, module] of modules.entries()) {
      if (!(module instanceof Module)) throw wrongArgument(`Sequential: module ${index}`, "a Module", module);
      (this as unknown as Record<string, Module>)[index] = module;
    }
  }

  override forward(x: Tensor): Tensor {
    const modules = [...this];
    let y = x;
    for (let i = 0; i < modules.length; i++) {
      const [module, next] = [modules[i] as Module, modules[i + 1]];
      const pair = module instanceof Conv2d && next instanceof BatchNorm2d;
      y = pair ? convNorm(module, next, y) : module.run(y);
      if (pair) i++;
    }
    return y;
  }

  get length(): number {
    return [...this].length;
  }

  /** The module at an index; negative indices count from the end. */
  at(index: number): Module | undefined {
    expectNumber("Sequential.at: index", index);
    return [...this].at(index);
  }

  *[Symbol.iterator](): Generator<Module> {
    for (const value of Object.values(this)) if (value instanceof Module) yield value;
  }
}
