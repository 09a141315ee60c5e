import type { Argument, Graph, Node, Output, Program, ProgramTensor } from "../../src/models/exported/program.ts";
import { randn, type Tensor } from "../../src/tensor.ts";

// This file makes programs in the form that the reader returns.

/** A value by its name, a number, a list of numbers, or an argument as it is. */
export type Given = string | number | boolean | null | readonly (number | string)[] | Argument;

export function argument(given: Given): Argument {
  if (given === null) return { kind: "none" };
  if (typeof given === "string") return { kind: "value", name: given };
  if (typeof given === "boolean") return { kind: "bool", value: given };
  if (typeof given === "number") return { kind: Number.isInteger(given) ? "int" : "float", value: given };
  if (Array.isArray(given)) return { kind: "list", items: given.map(argument) };
  return given as Argument;
}

/** `out = target(inputs)`, inside of the modules at `path`: "layer1.0" is inside of "layer1". */
export function node(out: string | readonly string[], target: string, inputs: Record<string, Given>, path = ""): Node {
  const names = path === "" ? [] : path.split(".").map((_name, i, parts) => parts.slice(0, i + 1).join("."));
  const outputs: Output[] =
    typeof out === "string" ? [{ kind: "value", name: out }] : [{ kind: "values", names: [...out] }];
  return {
    name: typeof out === "string" ? out : (out[0] as string),
    target,
    inputs: Object.entries(inputs).map(([name, given]) => ({
      name: name.replace(/^#\d+$/, ""),
      argument: argument(given),
    })),
    outputs,
    scopes: [{ path: "", type: "tests.Net" }, ...names.map((name) => ({ path: name, type: `tests.${name}` }))],
  };
}

/** A parameter, or a buffer if its name says so, under its state-dict name and the value that torch names after it. */
export function weight(name: string, tensor: Tensor): ProgramTensor {
  const kind = /running_|num_batches|buffer/.test(name) ? "buffer" : "parameter";
  const value = `${kind[0]}_${name.replaceAll(".", "_")}`;
  return { value, name, kind, persistent: true, requiresGrad: kind === "parameter", tensor };
}

export interface GivenProgram {
  nodes: readonly Node[];
  weights?: readonly ProgramTensor[];
  output?: string;
  sizes?: readonly (number | null)[];
}

/** A program of images "x" whose output is that of the last node. */
export function program({ nodes, weights = [], output, sizes = [null, 3, 8, 8] }: GivenProgram): Program {
  const last = nodes.at(-1)?.outputs[0];
  const name = output ?? (last?.kind === "value" ? (last.name ?? "") : "");
  const inputs = [...weights.flatMap(({ value }) => value ?? []), "x"];
  const graph: Graph = { inputs, nodes, outputs: [{ kind: "value", name }] };
  return {
    torchVersion: "2.11.0",
    graph,
    input: { value: "x", sizes, dtype: "float32" },
    output: name,
    tensors: [...weights],
    bufferUpdates: [],
  };
}

/** A linear head on the mean over all pixels, which ends a program: 3 classes. */
export const head = (value: string, channels: number): { nodes: Node[]; weights: ProgramTensor[] } => ({
  nodes: [
    node("pooled", "aten.mean.dim", { self: value, dim: [2, 3] }),
    node("logits", "aten.linear.default", { input: "pooled", weight: "p_fc_weight", bias: "p_fc_bias" }, "fc"),
  ],
  weights: [weight("fc.weight", randn([3, channels])), weight("fc.bias", randn([3]))],
});
