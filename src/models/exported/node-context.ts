import { type CallArgument, type CallValue, CODES } from "../../tensor/internal.ts";
import type { GraphPlan, Run, Slots } from "./graph-plan.ts";
import type { WritePlan } from "./in-place.ts";
import type { Argument, Graph, Node, ValueName } from "./program.ts";
import type { Surroundings } from "./surroundings.ts";

/** The information that is needed to prepare a node. */
export interface NodeContext extends Surroundings {
  readonly node: Node;
  /** How it writes in place; null if it doesn't. */
  readonly write: WritePlan | null;
  /** The slot from which the node reads a value. */
  slotOf(name: ValueName): number;
  outputSlot(name: ValueName): number;
  /** A new slot with a value that it has before each run. */
  constant(value: CallValue): number;
  planGraph(graph: Graph): GraphPlan;
}

/** Computes what a node defines, from the values in the slots. */
export type Execute = (slots: Slots, run: Run) => readonly CallValue[];

/** An argument of the file as one of a call. */
export function callArgument(argument: Argument, context: NodeContext): CallArgument {
  switch (argument.kind) {
    case "value":
      return { kind: "slot", slot: context.slotOf(argument.name) };
    case "values": {
      const items = argument.names.map((name) =>
        callArgument(name === null ? { kind: "none" } : { kind: "value", name }, context),
      );
      return { kind: "list", items };
    }
    case "list":
      return { kind: "list", items: argument.items.map((item) => callArgument(item, context)) };
    case "dtype":
      return CODES.dtype(context.dtypeOf(argument.dtype));
    case "memory-format":
      return { kind: "code", value: CODES.memoryFormat[argument.format] };
    case "layout":
      return CODES.strided;
    case "device":
      return CODES.device(context.device);
    case "graph":
      throw new Error("it takes a graph, and this engine runs only those of no_grad and autocast blocks");
    default:
      return argument;
  }
}

/** The value of an argument when the call runs. */
export function argumentValue(argument: CallArgument, slots: Slots): CallValue {
  if (argument.kind === "slot") return slots[argument.slot] as CallValue;
  if (argument.kind === "list") return argument.items.map((item) => argumentValue(item, slots));
  return argument.kind === "none" ? null : argument.value;
}
