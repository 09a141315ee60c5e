import { counted } from "../../counted.ts";
import { labelOf, partsOf } from "./node-names.ts";
import type { Graph, Node, Program } from "./program.ts";

/** Operators that draw random numbers in any mode: what stochastic depth becomes if a model is exported in training mode. */
const DRAWS =
  /^(?:bernoulli|rand|randn|randint|rand_like|randn_like|randperm|normal|uniform|multinomial)(?:_functional)?_?$/;

/** One sentence that tells users which parts of an exported model do not follow `train()`. */
export function trainingNotice({ graph }: Program, source: string): string {
  const nodes = allNodes(graph);
  const count = (pattern: RegExp) => nodes.filter(({ target }) => pattern.test(partsOf(target).base)).length;
  const norms = counted(count(/batch_norm/), "batch norm");
  const dropouts = counted(count(/dropout/), "dropout");
  const depth = count(/^bernoulli/);
  const drawn = depth === 0 ? "" : `, and so do ${counted(depth, "draw")} of stochastic depth`;
  const left = depth === 0 ? "stochastic depth (DropPath) and other branches" : "other branches";
  const draws = nodes.filter(({ target }) => DRAWS.test(partsOf(target).base));
  const random =
    draws.length === 0
      ? ""
      : `; in evaluation mode too, random numbers are drawn by ${counted(draws.length, "node")} of the graph, such as ${labelOf(draws[0] as Node)}`;
  return `${source} in training mode: ${norms} and ${dropouts} follow train() and eval()${drawn}; ${left} on self.training are as they were when the model was exported${random}`;
}

function allNodes(graph: Graph): Node[] {
  const inner = (node: Node) =>
    node.inputs.flatMap(({ argument }) => (argument.kind === "graph" ? allNodes(argument.graph) : []));
  return graph.nodes.flatMap((node) => [node, ...inner(node)]);
}
