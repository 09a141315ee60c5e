import type { Module } from "../../nn/index.ts";
import { emitOutput, isWatched, type OutputOrigin, observed } from "../../nn/internal.ts";
import type { Tensor } from "../../tensor/index.ts";
import { type CallValue, isTensor } from "../../tensor/internal.ts";
import type { ProgramCalls } from "./cut-values.ts";
import type { ValueName } from "./program.ts";

/** A value of a running graph: what an operator takes or gives. */
export type Slots = CallValue[];

/** Values of a node's arguments by the names of the operator's schema. */
export type ArgumentValues = Readonly<Record<string, CallValue>>;

/** The state of one run of the whole program. */
export interface Run {
  /** Images in the batch; an explanation may replace a module's output by that of another number of images. */
  batch: number;
  /** Images that were given. */
  readonly given: number;
  /** Whether operators may write to memory that only the graph has: nothing is recorded or watched. */
  readonly mayWrite: boolean;
  /** Whether somebody observes what operators compute, such as the biases that FullGrad asks for. */
  readonly observes: boolean;
  /** Groups of nodes that run as one in this run; their other nodes are passed over. */
  readonly fused: Set<object>;
  /** Tensors that somebody else has seen and may keep. */
  readonly seen: Set<Tensor>;
}

/** One node, prepared to run. */
export interface Step {
  readonly kind: "step";
  /** The node and its module, for messages. */
  readonly label: string;
  run(slots: Slots, run: Run): void;
  /** Slots whose values nothing reads afterwards. */
  readonly frees: readonly number[];
  /** Whether it computes a number from the images' sizes; such a step can run again. */
  readonly isNumber: boolean;
}

/** A module's call, prepared to run. */
export interface PlannedCall {
  readonly kind: "call";
  readonly module: Module;
  readonly items: readonly PlanItem[];
  /** The slot of its output; null if the graph shows none. */
  readonly output: number | null;
  readonly origin: OutputOrigin;
}

export type PlanItem = Step | PlannedCall;

/** A graph that was prepared once, for any number of runs. */
export interface GraphPlan {
  readonly items: readonly PlanItem[];
  /** Slots of the inputs that are given to each run, by the graph's order. */
  readonly inputs: readonly number[];
  readonly outputs: readonly CallValueSource[];
  /** The slots before a run: constants in their places. */
  readonly initial: readonly CallValue[];
  /** Buffers that the graph changes in place, and the slots with their copies. */
  readonly changed: readonly { readonly name: ValueName; readonly slot: number }[];
  /** Slots of inputs that the graph writes to, and that are copied first. */
  readonly copied: readonly number[];
  /** The calls of modules that the items represent, by the names of the file. */
  readonly calls: ProgramCalls;
  /** The nodes that can run as one. */
  readonly groups: readonly { forget(): void }[];
  /** The steps of numbers, in their order. */
  readonly numbers: readonly Step[];
}

/** Where an output comes from: a slot, or a constant. */
export type CallValueSource = { readonly slot: number } | { readonly value: CallValue };

/** Runs a graph on its inputs and returns its outputs, followed by the new values of the buffers that it has changed. */
export function runPlan(plan: GraphPlan, inputs: readonly CallValue[], run: Run): CallValue[] {
  const slots = plan.initial.slice();
  for (const [i, slot] of plan.inputs.entries()) slots[slot] = inputs[i] as CallValue;
  for (const slot of plan.copied) slots[slot] = (slots[slot] as Tensor).clone();
  runItems(plan, plan.items, { slots, run });
  const sources: CallValueSource[] = [...plan.outputs, ...plan.changed];
  return sources.map((source) => ("slot" in source ? (slots[source.slot] as CallValue) : source.value));
}

interface Frame {
  readonly slots: Slots;
  readonly run: Run;
}

function runItems(plan: GraphPlan, items: readonly PlanItem[], frame: Frame): void {
  for (const item of items) {
    if (item.kind === "step") {
      item.run(frame.slots, frame.run);
      for (const slot of item.frees) free(frame, slot);
    } else runCall(plan, item, frame);
  }
}

function runCall(plan: GraphPlan, call: PlannedCall, frame: Frame): void {
  const { module, items, output } = call;
  observed(module, () => {
    runItems(plan, items, frame);
    return (output === null ? null : frame.slots[output]) as Tensor;
  });
  if (output === null || !isWatched(module)) return;
  const own = frame.slots[output] as Tensor;
  const next = emitOutput(module, own, call.origin);
  frame.run.seen.add(own).add(next);
  frame.slots[output] = next;
  if (isTensor(own) && isTensor(next)) followBatch(plan, frame, [own.sizes[0], next.sizes[0]]);
}

/**
 * An explanation may put the outputs of many images into the place of those of one. The numbers that the graph has computed from
 * the batch's size then follow.
 */
function followBatch(
  plan: GraphPlan,
  frame: Frame,
  [own, next]: readonly [number | undefined, number | undefined],
): void {
  const { run, slots } = frame;
  if (own === next || own !== run.batch || next === undefined) return;
  run.batch = next;
  for (const step of plan.numbers) step.run(slots, run);
}

/** Frees the tensors in a slot, unless somebody outside of the graph has seen them. */
function free({ slots, run }: Frame, slot: number): void {
  const value = slots[slot];
  if (typeof value !== "object") return; // numbers stay, for `followBatch`
  slots[slot] = null;
  for (const tensor of Array.isArray(value) ? value : [value])
    if (isTensor(tensor) && !run.seen.has(tensor as Tensor)) (tensor as Tensor).dispose();
}
