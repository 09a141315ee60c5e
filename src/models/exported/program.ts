import type { DType, Tensor } from "../../tensor/index.ts";

// A program of torch.export after it was read and checked: what `read-program.ts` gives and `graph-runner.ts` runs. Its enumerations are
// already this project's words, not the numbers of the file (which differ from c10's).

/** A value of a graph by its name: a tensor, a list of tensors, or a number that depends on the sizes of the input. */
export type ValueName = string;

/** One argument of a node. */
export type Argument =
  | { readonly kind: "none" }
  | { readonly kind: "value"; readonly name: ValueName }
  /** A list of tensors; null for an absent one. */
  | { readonly kind: "values"; readonly names: readonly (ValueName | null)[] }
  | { readonly kind: "int" | "float"; readonly value: number }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "string"; readonly value: string }
  /** Integers, numbers, booleans, strings, symbolic integers, or lists of integers. */
  | { readonly kind: "list"; readonly items: readonly Argument[] }
  | { readonly kind: "dtype"; readonly dtype: DType }
  | {
      readonly kind: "memory-format";
      readonly format: "contiguous" | "channels-last" | "channels-last-3d" | "preserve";
    }
  | { readonly kind: "layout"; readonly layout: "strided" }
  /** Every device of the file becomes the model's. */
  | { readonly kind: "device" }
  | { readonly kind: "graph"; readonly graph: Graph };

/** The values that a node defines: one value, or a list of values whose unused ones are null. */
export type Output =
  | { readonly kind: "value"; readonly name: ValueName | null }
  | { readonly kind: "values"; readonly names: readonly (ValueName | null)[] };

/** One module around a node, with its path as `state_dict` writes it; the root has the path "". */
export interface ModuleScope {
  readonly path: string;
  /** Name of its Python class, as `torch.nn.modules.conv.Conv2d`. */
  readonly type: string;
}

export interface Node {
  /** Its name in messages: that of the file, or of its first output. */
  readonly name: string;
  /** As `aten.conv2d.default`, `_operator.mul` or `higher_order.wrap_with_set_grad_enabled`; "torch.ops." is left out. */
  readonly target: string;
  /** Arguments by the operator schema's own names; those that have their default are absent. A name is "" if the file has none. */
  readonly inputs: readonly { readonly name: string; readonly argument: Argument }[];
  readonly outputs: readonly Output[];
  /** The modules around it, outermost first. */
  readonly scopes: readonly ModuleScope[];
}

/** Nodes in the order in which they run. Each name is defined once, before it is used. */
export interface Graph {
  readonly inputs: readonly ValueName[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly Argument[];
  /** The sizes of its tensors, as far as the file names them. */
  readonly sizes?: ReadonlyMap<ValueName, readonly (number | string)[]>;
}

/** Sizes of a tensor; one that the file does not fix, such as the batch, is an expression of Python. */
export type Sizes = readonly (number | string)[];

/** A parameter, buffer or constant of the program. Names that share a storage share it here too. */
export interface ProgramTensor {
  /**
   * Its input of the graph. It is null for a tensor of the state dict that the graph does not use, and for the other names of tied
   * weights, since some versions of torch list one input for all of them.
   */
  readonly value: ValueName | null;
  /** Its name in `state_dict`, or that of the constant. */
  readonly name: string;
  readonly kind: "parameter" | "buffer" | "constant";
  /** Whether `state_dict` has it. */
  readonly persistent: boolean;
  readonly requiresGrad: boolean;
  /** Tied weights are the same tensor. */
  readonly tensor: Tensor;
}

/** The image input. A number that the file does not fix is null. */
export interface ProgramInput {
  readonly value: ValueName;
  readonly sizes: readonly (number | null)[];
  readonly dtype: DType;
}

export interface Program {
  /** The version that wrote the file, as "2.11.0". */
  readonly torchVersion: string;
  readonly graph: Graph;
  readonly input: ProgramInput;
  /** The value with the logits. */
  readonly output: ValueName;
  readonly tensors: readonly ProgramTensor[];
  /** Buffers that the graph replaces: the value to copy into the buffer after a run. */
  readonly bufferUpdates: readonly { readonly buffer: string; readonly value: ValueName }[];
}
