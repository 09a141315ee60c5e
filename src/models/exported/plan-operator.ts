import { describeValue } from "../../arguments.ts";
import { BatchCamError } from "../../errors.ts";
import { capabilities, type Tensor } from "../../tensor/index.ts";
import {
  type CallArgument,
  type CallValue,
  callOperator,
  isTensor,
  OperatorCall,
  type OperatorSchema,
} from "../../tensor/internal.ts";
import type { ArgumentValues, Run, Slots } from "./graph-plan.ts";
import { argumentValue, callArgument, type Execute, type NodeContext } from "./node-context.ts";
import { partsOf } from "./node-names.ts";
import { inAnyLayout, operatorOf, outOfPlace, withScalarOverload, writesToArgument } from "./operators.ts";
import { type SpecialCall, specialOf } from "./special-operators.ts";

/**
 * Prepares a node that calls an operator.
 *
 * @throws Error that says why it cannot be called
 */
export function planOperator(given: NodeContext): Execute {
  const node = inAnyLayout(given.node);
  const context = { ...given, node };
  const isNumber = (argument: { kind: string }) => argument.kind === "int" || argument.kind === "float";
  const target = withScalarOverload(node, isNumber);
  const operator = operatorOf(target);
  if (operator === null) throw new Error(missing(target));
  const args = argumentsOf(operator, context);
  const call = callOf(operator, target, { args, context });
  const special = specialOf(partsOf(target).base);
  const many = (result: CallValue): readonly CallValue[] =>
    operator.returns.length === 1 ? [result] : (result as readonly CallValue[]);
  if (special === null) return (slots, run) => many(call(slots, run));
  const state = stateOf(context);
  return (slots, run) => {
    const values = () => withTensors(operator, valuesOf(operator, args, slots));
    const changed = (others: ArgumentValues) => {
      const all = { ...values(), ...others };
      return callOperator(
        operator,
        operator.args.map(({ name }) => all[name]),
      );
    };
    const result = special({ plain: () => call(slots, run), with: changed, values, ...state });
    const written = context.write?.kind === "in-place" ? writtenBack(operator, args, { slots, result }) : result;
    const results = Array.isArray(written) ? written : many(written);
    for (const value of results) if (run.observes && isTensor(value)) run.seen.add(value as Tensor);
    return results;
  };
}

/** Copies the result of an operator that was replaced into the memory that the operator writes to. */
function writtenBack(
  operator: OperatorSchema,
  args: CallParts["args"],
  { slots, result }: { slots: Slots; result: CallValue },
): CallValue {
  const written = args[operator.args.findIndex(({ type }) => type.writes)];
  if (written?.kind !== "slot") return result;
  const memory = slots[written.slot] as Tensor;
  memory.copy_(result as Tensor);
  return memory.view([...memory.sizes]);
}

function missing(target: string): string {
  const { namespace } = partsOf(target);
  if (["aten", "prims", "prim", "mkldnn", "quantized"].includes(namespace))
    return `libtorch ${capabilities().version} has no such operator`;
  return `it is an operator of another package ("${namespace}"), which this engine does not have`;
}

/** The arguments by the order of the schema; those that the file leaves out are undefined. */
function argumentsOf(operator: OperatorSchema, context: NodeContext): (CallArgument | undefined)[] {
  const { node } = context;
  const names = operator.args.map(({ name }) => name);
  const unknown = node.inputs.find(({ name }) => name !== "" && !names.includes(name));
  if (unknown !== undefined)
    throw new Error(
      `this libtorch's ${operator.name} has no argument ${unknown.name}; it is from another version of PyTorch`,
    );
  return operator.args.map(({ name, type }, i) => {
    const given = node.inputs.find((input, at) => input.name === name || (input.name === "" && at === i));
    if (given === undefined) return undefined;
    const argument = callArgument(given.argument, context);
    // A number that is passed for a tensor is converted when the call runs.
    const isLiteral = argument.kind === "int" || argument.kind === "float" || argument.kind === "bool";
    return type.base === "Tensor" && type.lists === 0 && isLiteral
      ? { kind: "slot", slot: context.constant(argument.value) }
      : argument;
  });
}

type Call = (slots: Slots, run: Run) => CallValue;

interface CallParts {
  readonly args: readonly (CallArgument | undefined)[];
  readonly context: NodeContext;
}

/** The call as libtorch runs it, in place only if nothing else can see the change. */
function callOf(operator: OperatorSchema, target: string, { args, context }: CallParts): Call {
  const { write } = context;
  if (write === null || write.kind === "in-place")
    return convertingFactory(operator, new OperatorCall(operator, args), context);
  const inPlace = new OperatorCall(operator, args);
  const twin = outOfPlace(target);
  const apart = twin === null ? onCopy(operator, args, context) : plainCall(new OperatorCall(twin, args));
  if (!write.ownMemory) return apart;
  return (slots, run) => (run.mayWrite ? inPlace.run(slots) : apart(slots, run));
}

const plainCall =
  (call: OperatorCall): Call =>
  (slots) =>
    call.run(slots);

/** Writes to a copy of the argument. */
function onCopy(operator: OperatorSchema, args: CallParts["args"], context: NodeContext): Call {
  const at = operator.args.findIndex(({ type }) => type.writes);
  const written = args[at];
  if (written?.kind !== "slot") throw new Error("it writes to a value that is no tensor");
  const copy = context.constant(null);
  const call = new OperatorCall(
    operator,
    args.map((argument, i) => (i === at ? { kind: "slot", slot: copy } : argument)),
  );
  return (slots) => {
    slots[copy] = (slots[written.slot] as Tensor).clone();
    const result = call.run(slots);
    (slots[copy] as Tensor).dispose();
    slots[copy] = null;
    return result;
  };
}

/** Operators that make a tensor from numbers, such as `zeros`, follow the dtype that the model was converted to. */
function convertingFactory(operator: OperatorSchema, call: OperatorCall, { dtype, fileDType }: NodeContext): Call {
  const isFactory = operator.args.every(({ type }) => type.base !== "Tensor");
  if (!isFactory || dtype === fileDType || writesToArgument(operator)) return (slots) => call.run(slots);
  return (slots) => {
    const made = call.run(slots);
    return isTensor(made) && made.dtype === fileDType ? (made as Tensor).to(dtype) : made;
  };
}

/** The arguments' values by name, their defaults among them. */
function valuesOf(operator: OperatorSchema, args: CallParts["args"], slots: Slots): ArgumentValues {
  const values = operator.args.map(({ name, fallback }, i) => {
    const argument = args[i] ?? fallback;
    return [name, argument === null ? null : argumentValue(argument, slots)] as const;
  });
  return Object.fromEntries(values);
}

/** Throws E_DATA if a value is no tensor where the operator takes one, which only a damaged graph has. */
function withTensors(operator: OperatorSchema, values: ArgumentValues): ArgumentValues {
  for (const { name, type } of operator.args) {
    const value = values[name] ?? null;
    if (type.base !== "Tensor" || type.lists > 0 || isTensor(value) || (value === null && type.optional)) continue;
    throw new BatchCamError("E_DATA", `${operator.name}: ${name} must be a tensor, got ${describeValue(value)}`);
  }
  return values;
}

/** The values of a node's arguments, for whoever runs it in another way. */
export function argumentReader(context: NodeContext): (slots: Slots) => ArgumentValues {
  const operator = operatorOf(context.node.target) as OperatorSchema;
  const args = argumentsOf(operator, context);
  return (slots) => valuesOf(operator, args, slots);
}

interface ModuleState extends Pick<SpecialCall, "isTraining" | "countBatch"> {
  /** The batches that a batch norm has counted. */
  counter(): Tensor | null;
}

/** The state of the module around a node. */
export function stateOf({ node, moduleOf, batchCounterOf }: NodeContext): ModuleState {
  const module = moduleOf(node.scopes.at(-1)?.path ?? "");
  const mean = node.inputs.find(({ name }) => name === "running_mean")?.argument;
  const counter = mean?.kind === "value" ? batchCounterOf(mean.name) : null;
  return {
    isTraining: () => module.training,
    counter: () => counter?.() ?? null,
    countBatch: () => counter?.().add_(1) ?? null,
  };
}
