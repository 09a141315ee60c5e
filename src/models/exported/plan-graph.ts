import type { Module } from "../../nn/index.ts";
import type { OutputOrigin } from "../../nn/internal.ts";
import type { CallValue } from "../../tensor/internal.ts";
import { Aliases, outputNames, valueNames } from "./aliases.ts";
import { type ConvNormGroup, convNormGroups } from "./conv-norms.ts";
import { FusedGroup } from "./fused-group.ts";
import type { CallValueSource, GraphPlan, PlanItem, Step } from "./graph-plan.ts";
import { changedInputs, definitionsOf, type LastingInputs, planWrites, type WritePlans } from "./in-place.ts";
import { type ModuleCall, moduleCalls } from "./module-calls.ts";
import type { NodeContext } from "./node-context.ts";
import { stepOf } from "./plan-node.ts";
import { argumentReader, stateOf } from "./plan-operator.ts";
import type { Argument, Graph, Node, ValueName } from "./program.ts";
import type { Surroundings } from "./surroundings.ts";

/**
 * Prepares a graph: each value gets a slot, each operator its constant arguments, and each value the place of its last use. What
 * cannot be run is added to the surroundings' problems.
 */
export function planGraph(graph: Graph, surroundings: Surroundings, lasting: LastingInputs): GraphPlan {
  return new Planner(graph, surroundings, lasting).plan();
}

class Planner {
  readonly #graph: Graph;
  readonly #surroundings: Surroundings;
  readonly #lasting: LastingInputs;
  readonly #aliases: Aliases;
  readonly #writes: WritePlans;
  readonly #slots = new Map<ValueName, number>();
  readonly #initial: CallValue[] = [];
  readonly #numbers: Step[] = [];
  readonly #definedAt: ReadonlyMap<ValueName, number>;
  /** The values that each node reads, by the names that they have there. */
  readonly #reads: readonly (readonly ValueName[])[];
  readonly #calls: readonly (number | ModuleCall)[];
  readonly #groups: readonly ConvNormGroup[];

  constructor(graph: Graph, surroundings: Surroundings, lasting: LastingInputs) {
    this.#lasting = lasting;
    this.#graph = graph;
    this.#surroundings = surroundings;
    this.#aliases = new Aliases(graph);
    this.#writes = planWrites(graph, this.#aliases, lasting);
    this.#definedAt = definitionsOf(graph);
    this.#reads = graph.nodes.map((node, index) =>
      node.inputs.flatMap(({ argument }) => valueNames(argument).map((name) => this.#writes.nameAt(index, name))),
    );
    this.#calls = moduleCalls(graph, this.#writes.nameAt);
    this.#groups = convNormGroups(graph, this.#writes);
  }

  plan(): GraphPlan {
    const { inputs, outputs } = this.#graph;
    const inputSlots = inputs.map((name) => this.#slotOf(name));
    const frees = this.#lastUses();
    const plain = this.#graph.nodes.map((_node, index) => this.#step(index, frees.get(index) ?? []));
    // A group reads the arguments of its nodes again, which fails if the plan of a node has failed.
    const groups = this.#surroundings.problems.length > 0 ? [] : this.#groups.map((group) => this.#fusedGroup(group));
    const steps = plain.map((step, index) =>
      fusedStep(
        step,
        index,
        groups.find(({ group }) => group.nodes.includes(index)),
        (name) => this.#slotOf(name),
        this.#graph,
      ),
    );
    const items = this.#calls.map((item) => this.#item(item, steps));
    const end = Number.POSITIVE_INFINITY;
    const changed = this.#lasting.isBlock ? [] : [...changedInputs(this.#graph, this.#lasting)];
    return {
      items,
      inputs: inputSlots,
      outputs: outputs.map((argument) => this.#source(argument, end)),
      initial: this.#initial,
      changed: changed.map((name) => ({ name, slot: this.#slotOf(name) })),
      copied: [...this.#writes.copiedInputs].map((name) => this.#slotOf(name)),
      calls: { items: this.#calls, nameAt: this.#writes.nameAt },
      groups,
      numbers: this.#numbers,
    };
  }

  #slotOf(name: ValueName): number {
    const known = this.#slots.get(name);
    if (known !== undefined) return known;
    const slot = this.#constant(null);
    this.#slots.set(name, slot);
    return slot;
  }

  /** A new slot with a value that it has before each run. */
  #constant(value: CallValue): number {
    return this.#initial.push(value) - 1;
  }

  #step(index: number, frees: readonly number[]): Step {
    const step = { ...stepOf(this.#contextOf(index)), frees };
    if (step.isNumber) this.#numbers.push(step);
    return step;
  }

  #contextOf(index: number): NodeContext {
    return {
      ...this.#surroundings,
      node: this.#graph.nodes[index] as Node,
      write: this.#writes.plans.get(index) ?? null,
      slotOf: (name) => this.#slotOf(this.#writes.nameAt(index, name)),
      outputSlot: (name) => this.#slotOf(name),
      constant: (value) => this.#constant(value),
      planGraph: (graph) => planGraph(graph, this.#surroundings, this.#lasting.ofBlock()),
    };
  }

  #fusedGroup(group: ConvNormGroup): FusedGroup {
    const [conv, norm] = [this.#contextOf(group.conv), this.#contextOf(group.norm)];
    const { isTraining, counter } = stateOf(norm);
    const paths = new Set<string>();
    const visit = (item: number | ModuleCall): void => {
      if (typeof item === "number") return;
      item.items.forEach(visit);
      if (item.output !== null && group.inner.includes(item.output)) paths.add(item.path);
    };
    this.#calls.forEach(visit);
    return new FusedGroup(group, {
      convArguments: argumentReader(conv),
      normArguments: argumentReader(norm),
      shortcut: group.shortcut === null ? null : this.#slotOf(group.shortcut),
      modules: [...paths].map((path) => this.#surroundings.moduleOf(path)),
      isTraining,
      counter,
    });
  }

  #item(item: number | ModuleCall, steps: readonly Step[]): PlanItem {
    if (typeof item === "number") return steps[item] as Step;
    return {
      kind: "call",
      module: this.#surroundings.moduleOf(item.path) as Module,
      items: item.items.map((inner) => this.#item(inner, steps)),
      output: item.output === null ? null : this.#slotOf(item.output),
      origin: item.output === null ? "own" : this.#originOf(item.output, item.last),
    };
  }

  /** See `OutputOrigin`, of a value that is a module's output behind the node at `last`. */
  #originOf(name: ValueName, last: number): OutputOrigin {
    const group = this.#aliases.of(name);
    const isOwn = group.size === 1 && !this.#graph.inputs.includes(name);
    if (isOwn) return "own";
    const later = this.#reads.slice(last + 1);
    const isWritten = later.some((reads, i) => {
      const plan = this.#writes.plans.get(last + 1 + i);
      return plan?.kind === "in-place" && reads.some((read) => group.has(read));
    });
    if (isWritten) return "rewritten";
    const isOlder = (read: ValueName) => group.has(read) && (this.#definedAt.get(read) ?? -1) <= last;
    const isShared =
      this.#graph.inputs.some((input) => group.has(input)) ||
      later.some((reads) => reads.some((read) => read !== name && isOlder(read)));
    return isShared ? "unknown" : "own";
  }

  #source(argument: Argument, index: number): CallValueSource {
    if (argument.kind === "value") return { slot: this.#slotOf(this.#writes.nameAt(index, argument.name)) };
    return { value: "value" in argument ? argument.value : null };
  }

  /** By node, the slots whose value is read there for the last time, or never. */
  #lastUses(): Map<number, number[]> {
    const last = new Map<ValueName, number>();
    const { nodes, inputs, outputs } = this.#graph;
    // The nodes of a group may all run at the position of the last one.
    const ends = new Map(this.#groups.flatMap((group) => group.nodes.map((index) => [index, group.nodes.at(-1)])));
    for (const [index, node] of nodes.entries()) {
      for (const name of node.outputs.flatMap(outputNames)) if (!last.has(name)) last.set(name, index);
      const end = ends.get(index) ?? index;
      for (const name of this.#reads[index] as readonly ValueName[])
        last.set(name, Math.max(last.get(name) ?? -1, end));
    }
    const kept = new Set([...inputs, ...outputs.flatMap(valueNames).map((n) => this.#writes.nameAt(Infinity, n))]);
    const frees = new Map<number, number[]>();
    for (const [name, index] of last) {
      if (kept.has(name)) continue;
      frees.set(index, [...(frees.get(index) ?? []), this.#slotOf(name)]);
    }
    return frees;
  }
}

/** A node's step, which a group may replace or pass over. */
function fusedStep(
  step: Step,
  index: number,
  fused: FusedGroup | undefined,
  slotOf: (name: ValueName) => number,
  graph: Graph,
): Step {
  if (fused === undefined) return step;
  const { nodes } = fused.group;
  if (index === nodes[0])
    return { ...step, run: (slots, run) => (fused.begins(run) ? undefined : step.run(slots, run)) };
  if (index !== nodes.at(-1))
    return { ...step, run: (slots, run) => (run.fused.has(fused) ? undefined : step.run(slots, run)) };
  const [output] = (graph.nodes[index] as Node).outputs.flatMap(outputNames) as [ValueName];
  const slot = slotOf(output);
  const run: Step["run"] = (slots, state) => {
    if (state.fused.has(fused)) slots[slot] = fused.run(slots);
    else step.run(slots, state);
  };
  return { ...step, run };
}
