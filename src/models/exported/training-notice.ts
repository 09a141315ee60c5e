import { counted, wordFor } from "../../counted.ts";
import { inWords } from "../../registry.ts";
import { argumentOf } from "./model-head.ts";
import { labelOf, partsOf } from "./node-names.ts";
import type { Argument, Graph, Node, Program } from "./program.ts";

/** Operators that draw random numbers in any mode. Those of stochastic depth, `bernoulli`, follow the mode. */
const DRAWS = /^(?:rand|randn|randint|rand_like|randn_like|randperm|normal|uniform|multinomial)(?:_functional)?_?$/;

/** The messages for users who train an exported model. */
export interface TrainingNotice {
  /** One sentence on which parts follow `train()` and which do not. */
  note: string;
  warnings: string[];
}

/** Describes how an exported model follows `train()` and `eval()`. */
export function trainingNotice({ graph }: Program, source: string): TrainingNotice {
  const nodes = allNodes(graph);
  const named = (pattern: RegExp) => nodes.filter(({ target }) => pattern.test(partsOf(target).base));
  const depth = named(/^bernoulli/).length;
  const parts: readonly (readonly [count: number, noun: string, of?: string])[] = [
    [named(/batch_norm/).length, "batch norm"],
    [named(/dropout/).length, "dropout"],
    [depth, "draw", " of stochastic depth"],
  ];
  const present = parts.filter(([count]) => count > 0);
  const total = present.reduce((sum, [count]) => sum + count, 0);
  const list = inWords(present.map(([count, noun, of = ""]) => `${counted(count, noun)}${of}`));
  const follow = total === 0 ? "nothing follows" : `${list} ${wordFor(total, "follows", "follow")}`;
  const left = depth === 0 ? "stochastic depth (DropPath) and other branches" : "other branches";
  return {
    note: `${source} in training mode: ${follow} train() and eval(); ${left} on self.training are as they were when the model was exported`,
    warnings: [...drawWarnings(named(DRAWS), source), ...momentumWarnings(named(/batch_norm/), source)],
  };
}

function drawWarnings(draws: readonly Node[], source: string): string[] {
  const [first] = draws;
  if (first === undefined) return [];
  const count = counted(draws.length, "node");
  return [
    `${source}: in evaluation mode too, random numbers are drawn by ${count} of the graph, such as ${labelOf(first)}: results differ from call to call; export the model in evaluation mode if it should not draw`,
  ];
}

/**
 * `BatchNorm2d(momentum=None)`, the plain average of all batches, and `momentum=0`, which never changes the statistics, are both
 * written as 0 in evaluation mode. Training mode cannot export the former, and writes the latter with `training`.
 */
function momentumWarnings(norms: readonly Node[], source: string): string[] {
  const isSet = (argument: Argument | undefined, value: number | boolean) =>
    argument !== undefined && "value" in argument && argument.value === value;
  const unclear = norms.filter(
    (norm) =>
      argumentOf(norm, "running_mean")?.kind === "value" &&
      isSet(argumentOf(norm, "momentum"), 0) &&
      !isSet(argumentOf(norm, "training"), true),
  );
  const [first] = unclear;
  if (first === undefined) return [];
  const have = `${counted(unclear.length, "batch norm")} (${labelOf(first)}) ${wordFor(unclear.length, "has", "have")}`;
  return [
    `${source}: ${have} momentum 0 in the file, which stands for momentum=None there: the running statistics become the average of all batches; if they should stay as they are (momentum=0), export the model in training mode, or call eval() on ${wordFor(unclear.length, "this module", "these modules")}`,
  ];
}

function allNodes(graph: Graph): Node[] {
  const inner = (node: Node) =>
    node.inputs.flatMap(({ argument }) => (argument.kind === "graph" ? allNodes(argument.graph) : []));
  return graph.nodes.flatMap((node) => [node, ...inner(node)]);
}
