import { convNorm, type Module } from "../../nn/index.ts";
import { BorrowedLayers, isWatched } from "../../nn/internal.ts";
import type { Pair, Tensor } from "../../tensor/index.ts";
import type { ConvNormGroup } from "./conv-norms.ts";
import type { ArgumentValues, Run, Slots } from "./graph-plan.ts";

/** The values that a group reads when it runs. */
export interface GroupSources {
  /** The arguments of the convolution and of the batch norm, by their names. */
  convArguments(slots: Slots): ArgumentValues;
  normArguments(slots: Slots): ArgumentValues;
  readonly shortcut: number | null;
  /** Modules that end with a value inside the group. Where one of them is watched, the nodes run one by one. */
  readonly modules: readonly Module[];
  isTraining(): boolean;
  counter(): Tensor | null;
}

/** A convolution with its batch norm, sum and ReLU, by the kernels of this package's own residual networks (`convNorm`). */
export class FusedGroup {
  readonly group: ConvNormGroup;
  readonly #sources: GroupSources;
  readonly #layers = new BorrowedLayers();

  constructor(group: ConvNormGroup, sources: GroupSources) {
    this.group = group;
    this.#sources = sources;
  }

  /** Whether the group runs as one in this run. It is decided at its first node, and holds for the others. */
  begins(run: Run): boolean {
    const fits = !run.observes && !this.#sources.modules.some(isWatched) && this.#sources.counter() !== null;
    if (fits) run.fused.add(this);
    return fits;
  }

  run(slots: Slots): Tensor {
    const { convArguments, normArguments, shortcut, isTraining, counter } = this.#sources;
    const { input, weight, bias, stride, padding, dilation, groups } = convArguments(slots);
    const norm = normArguments(slots);
    const training = isTraining();
    if (training) this.#layers.forget();
    const kernel = weight as Tensor;
    const { conv, norm: lent } = this.#layers.lend({
      conv: {
        weight: kernel,
        bias: bias as Tensor | null,
        inChannels: (kernel.sizes[1] as number) * (groups as number),
        options: {
          stride: stride as Pair,
          padding: padding as Pair,
          dilation: dilation as Pair,
          groups: groups as number,
        },
      },
      norm: {
        weight: norm.weight as Tensor,
        bias: norm.bias as Tensor,
        running_mean: norm.running_mean as Tensor,
        running_var: norm.running_var as Tensor,
        num_batches_tracked: counter() as Tensor,
        numFeatures: (norm.weight as Tensor).numel,
        eps: norm.eps as number,
        // A file that was exported in training mode has the momentum itself; evaluation mode writes 0 for none.
        momentum: norm.momentum === 0 && norm.training !== true ? null : (norm.momentum as number),
        training,
      },
    });
    const add = shortcut === null ? undefined : (slots[shortcut] as Tensor);
    return convNorm(conv, lent, input as Tensor, { add, relu: this.group.relu });
  }

  /** Frees what inference made of the weights. */
  forget(): void {
    this.#layers.forget();
  }
}
