import { BatchCamError } from "../../errors.ts";
import { autocast, type DType, noGrad, type Tensor } from "../../tensor/index.ts";
import { type CallValue, explained, isTensor } from "../../tensor/internal.ts";
import { type Run, runPlan, type Slots, type Step } from "./graph-plan.ts";
import { argumentValue, callArgument, type Execute, type NodeContext } from "./node-context.ts";
import { labelOf } from "./node-names.ts";
import { planOperator } from "./plan-operator.ts";
import type { Argument, Output } from "./program.ts";
import { numberFunction, SIZE_TARGETS } from "./symbolic.ts";

/** A node as a step of a plan. A node that cannot be run is noted as a problem. */
export function stepOf(context: NodeContext): Omit<Step, "frees"> {
  const { node } = context;
  const label = labelOf(node);
  const number = numberStep(context);
  const execute = number ?? planned(context, label);
  const store = node.outputs.map((output) => storeOf(output, context));
  const run = (slots: Slots, state: Run): void => {
    const results = locating(label, () => execute(slots, state));
    for (const [i, put] of store.entries()) put(slots, results[i] ?? null);
  };
  return { kind: "step", label, run, isNumber: number !== null };
}

function planned(context: NodeContext, label: string): Execute {
  try {
    return checkStep(context) ?? subgraphStep(context) ?? planOperator(context);
  } catch (error) {
    if (error instanceof BatchCamError) throw error;
    context.problems.push(`${label}: ${(error as Error).message}`);
    return () => [];
  }
}

/** Errors that name their node. The nodes of subgraphs run within those of the main graph, and the innermost one is named. */
const located = new WeakSet<BatchCamError>();

/**
 * Runs a node; an error names it. An error of another class means that a value is of another kind than the node takes, which only a
 * damaged graph has.
 */
function locating<T>(label: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof BatchCamError && located.has(error)) throw error;
    const place = `at ${label} of the exported model`;
    const problem = `it gets a value of another kind than it takes (${(error as Error).message})`;
    const named =
      error instanceof BatchCamError
        ? explained(error, error.code, `${error.message}; ${place}`)
        : new BatchCamError("E_DATA", `${problem}; ${place}`, { cause: error });
    located.add(named);
    throw named;
  }
}

/** Puts a result into the slot of its name, or frees it if it has none. */
function storeOf(output: Output, { outputSlot }: NodeContext): (slots: Slots, result: CallValue) => void {
  if (output.kind === "value") {
    if (output.name === null) return (_slots, result) => discard(result);
    const slot = outputSlot(output.name);
    return (slots, result) => {
      slots[slot] = result;
    };
  }
  const places = output.names.map((name) => (name === null ? null : outputSlot(name)));
  return (slots, result) => {
    for (const [i, item] of (result as CallValue[]).entries()) {
      const slot = places[i] ?? null;
      if (slot === null) discard(item);
      else slots[slot] = item;
    }
  };
}

function discard(result: CallValue): void {
  if (isTensor(result)) (result as Tensor).dispose();
}

/** A node that computes a number; null for others. */
function numberStep(context: NodeContext): Execute | null {
  const { node } = context;
  const compute = numberFunction(node.target);
  const size = SIZE_TARGETS.includes(node.target);
  if (compute === null && !size) return null;
  const args = node.inputs.map(({ argument }) => callArgument(argument, context));
  if (compute !== null) return (slots) => [compute(args.map((argument) => argumentValue(argument, slots)))];
  const [output] = node.outputs;
  const own = output?.kind === "value" && output.name !== null ? context.outputSlot(output.name) : null;
  return (slots, run) => {
    const [tensor, dim = 0] = args.map((argument) => argumentValue(argument, slots)) as [Tensor | null, number?];
    // The tensor has been freed when the numbers are computed again; then only the batch has changed.
    const value = tensor === null ? (own === null ? 0 : (slots[own] as number)) : sizeOf(node.target, tensor, dim);
    return [dim === 0 && value === run.given && node.target === "aten.sym_size.int" ? run.batch : value];
  };
}

function sizeOf(target: string, tensor: Tensor, dim: number): number {
  if (target === "aten.sym_numel.default") return tensor.numel;
  if (target === "aten.sym_size.int") return tensor.sizes.at(dim) as number;
  return tensor.sizes.slice(dim + 1).reduce((product, size) => product * size, 1);
}

/** Checks of the export that hold for the sizes and dtypes of the file, and not for those of the model now. */
const CHECKS = /^aten\.(?:_assert_|sym_constrain_range|_check_)/;

const checkStep = ({ node }: NodeContext): Execute | null => (CHECKS.test(node.target) ? () => [] : null);

/** Blocks of `no_grad` and `autocast` in the model's code; null for other nodes. */
function subgraphStep(context: NodeContext): Execute | null {
  const { node } = context;
  const isGrad = node.target === "higher_order.wrap_with_set_grad_enabled";
  if (!isGrad && node.target !== "higher_order.wrap_with_autocast") return null;
  const at = node.inputs.findIndex(({ argument }) => argument.kind === "graph");
  const graph = node.inputs[at]?.argument as Extract<Argument, { kind: "graph" }>;
  const plan = context.planGraph(graph.graph);
  const operands = node.inputs.slice(at + 1).map(({ argument }) => callArgument(argument, context));
  const settings = node.inputs.slice(0, at).map(({ argument }) => argument);
  const around = isGrad ? gradBlock(settings) : autocastBlock(settings, context);
  return (slots, run) => {
    const inputs = operands.map((operand) => argumentValue(operand, slots));
    return around(() => runPlan(plan, inputs, { ...run, mayWrite: false }));
  };
}

type Around = <T>(run: () => T) => T;

/** A block that switches recording on leaves it as it is: an explanation may have switched it off around the whole model. */
const gradBlock = ([enabled]: readonly Argument[]): Around =>
  enabled?.kind === "bool" && !enabled.value ? noGrad : (run) => run();

function autocastBlock(settings: readonly Argument[], context: NodeContext): Around {
  const flag = settings.find((argument) => argument.kind === "bool");
  const given = settings.find((argument) => argument.kind === "dtype");
  const dtype: DType = given?.kind === "dtype" ? given.dtype : "bfloat16";
  const enabled = flag?.kind === "bool" ? flag.value : true;
  if (enabled && dtype !== "bfloat16" && dtype !== "float16")
    throw new Error(`it runs under autocast to ${dtype}, and this engine knows bfloat16 and float16`);
  const to = dtype === "float16" ? "float16" : "bfloat16";
  // In float64 autocast has nothing to do, and would only lose digits.
  return (run) => autocast({ dtype: to, enabled: enabled && context.dtype !== "float64" }, run);
}
