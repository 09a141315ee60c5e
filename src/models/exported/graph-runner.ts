import { BatchCamError } from "../../errors.ts";
import { isWatching } from "../../nn/internal.ts";
import { type DType, isGradEnabled, noGrad, type Tensor } from "../../tensor/index.ts";
import { type CallValue, observesBiases } from "../../tensor/internal.ts";
import type { ProgramCalls } from "./cut-values.ts";
import { convertedDType } from "./dtype-rules.ts";
import { type ModuleTree, splitPath, type TensorPlace, tensorAt } from "./exported-module.ts";
import { type GraphPlan, type Run, runPlan } from "./graph-plan.ts";
import type { LastingInputs } from "./in-place.ts";
import type { ModuleCall } from "./module-calls.ts";
import { planGraph } from "./plan-graph.ts";
import type { Program, ValueName } from "./program.ts";
import type { Surroundings } from "./surroundings.ts";

/** The model and the tensors with which a program runs. */
export interface RunnerParts {
  readonly program: Program;
  readonly tree: ModuleTree;
  /** The places of the program's tensors, by their inputs of the graph. */
  readonly places: ReadonlyMap<ValueName, TensorPlace>;
  /** The model itself, for the nodes that belong to no module inside it. */
  readonly root: { readonly training: boolean };
}

/**
 * Runs an exported graph. It is prepared once: operators are looked up, values get slots in the place of names, constant arguments are
 * encoded, and each value is freed behind its last reader. It is prepared again if the model's dtype or device has changed.
 */
export class GraphRunner {
  readonly #parts: RunnerParts;
  readonly #fileDType: DType;
  #plan: { key: string; plan: GraphPlan } | null = null;

  /** @throws E_DATA with every node that this engine cannot run, and the reasons */
  constructor(parts: RunnerParts, source: string) {
    this.#parts = parts;
    this.#fileDType = this.dtype;
    const problems: string[] = [];
    this.#prepare(problems);
    if (problems.length > 0) throw cannotRun(source, problems, parts.program.torchVersion);
  }

  /** The dtype of the weights now. */
  get dtype(): DType {
    return this.#reference()?.dtype ?? "float32";
  }

  get device(): string {
    return this.#reference()?.device ?? "cpu";
  }

  #reference(): Tensor | undefined {
    for (const place of this.#parts.places.values()) {
      const tensor = tensorAt(place);
      if (tensor.dtype.includes("float")) return tensor;
    }
    return undefined;
  }

  /** The calls of modules in the graph. */
  get calls(): ProgramCalls {
    return this.#prepare([]).calls;
  }

  /** The value that the last call of a module gives; null if there is none. */
  outputOf(path: string): ValueName | null {
    let found: ValueName | null = null;
    const visit = (item: number | ModuleCall): void => {
      if (typeof item === "number") return;
      item.items.forEach(visit);
      if (item.path === path) found = item.output;
    };
    this.calls.items.forEach(visit);
    return found;
  }

  /** The logits of a batch. */
  run(x: Tensor): Tensor {
    const { program, places } = this.#parts;
    const plan = this.#prepare([]);
    const inputs = program.graph.inputs.map((name): CallValue => {
      if (name === program.input.value) return x;
      const place = places.get(name);
      return place === undefined ? null : tensorAt(place);
    });
    const [batch = 1] = x.sizes;
    const watched = isWatching() || observesBiases();
    const run: Run = {
      batch,
      given: batch,
      mayWrite: !watched && !isGradEnabled(),
      observes: observesBiases(),
      fused: new Set(),
      seen: new Set(),
    };
    const outputs = runPlan(plan, inputs, run);
    if (this.#parts.root.training) this.#updateBuffers(plan, outputs);
    return this.#valueOf(program.output, outputs) as Tensor;
  }

  #prepare(problems: string[]): GraphPlan {
    const { dtype, device } = this;
    const key = `${dtype} ${device}`;
    if (this.#plan?.key === key) return this.#plan.plan;
    const plan = planGraph(
      this.#parts.program.graph,
      this.#surroundings(dtype, device, problems),
      lastingInputs(this.#parts),
    );
    this.#plan = { key, plan };
    return plan;
  }

  #surroundings(dtype: DType, device: string, problems: string[]): Surroundings {
    const { tree, root } = this.#parts;
    const fileDType = this.#fileDType;
    return {
      moduleOf: (path) => (path === "" ? root : tree.at(path)) as ReturnType<Surroundings["moduleOf"]>,
      dtypeOf: (given) => convertedDType(given, { from: fileDType, to: dtype }),
      ...{ fileDType, dtype, device, problems },
      batchCounterOf: (runningMean) => this.#counterOf(runningMean),
    };
  }

  #counterOf(runningMean: ValueName): (() => Tensor) | null {
    const tensor = this.#parts.program.tensors.find(({ value }) => value === runningMean);
    if (tensor === undefined) return null;
    const [path] = splitPath(tensor.name);
    const record = this.#parts.tree.recordOf(path);
    return COUNTER in record ? () => record[COUNTER] as Tensor : null;
  }

  #valueOf(name: ValueName, outputs: readonly CallValue[]): CallValue {
    const at = this.#parts.program.graph.outputs.findIndex((output) => output.kind === "value" && output.name === name);
    return outputs[at] as CallValue;
  }

  /** Frees what inference made of the weights. */
  forgetFolded(): void {
    for (const group of this.#plan?.plan.groups ?? []) group.forget();
  }

  /**
   * Buffers that the network itself changes, in training mode alone, so that an evaluation or explanation leaves the model as it is.
   * Those of batch norm are changed by its own operator.
   */
  #updateBuffers({ changed }: GraphPlan, outputs: readonly CallValue[]): void {
    const { program, places, tree } = this.#parts;
    const update = (old: Tensor, value: CallValue) => noGrad(() => old.copy_((value as Tensor).detach()));
    for (const { buffer, value } of program.bufferUpdates) {
      if (ofNorm(tree, buffer)) continue;
      const [path, key] = splitPath(buffer);
      update(tree.recordOf(path)[key] as Tensor, this.#valueOf(value, outputs));
    }
    const values = outputs.slice(program.graph.outputs.length);
    for (const [i, { name }] of changed.entries())
      update(tensorAt(places.get(name) as TensorPlace), values[i] as CallValue);
  }
}

/** Whether a buffer holds the statistics of a batch norm. */
function ofNorm(tree: ModuleTree, buffer: string): boolean {
  const [path, key] = splitPath(buffer);
  return key === COUNTER || (/^running_(?:mean|var)$/.test(key) && COUNTER in tree.recordOf(path));
}

function lastingInputs({ program, tree }: RunnerParts): LastingInputs {
  const buffers = program.tensors.filter(({ kind, value }) => kind === "buffer" && value !== null);
  const values = (ofNorms: boolean) =>
    new Set(buffers.filter(({ name }) => ofNorm(tree, name) === ofNorms).map(({ value }) => value));
  const [norms, others] = [values(true), values(false)];
  // A block of the graph has the names of the graph around it.
  const block: LastingInputs = { isBlock: true, has: (name) => !norms.has(name), ofBlock: () => block };
  return { isBlock: false, has: (name) => others.has(name), ofBlock: () => block };
}

const COUNTER = "num_batches_tracked";

function cannotRun(source: string, problems: readonly string[], torchVersion: string): BatchCamError {
  const count = problems.length === 1 ? "a node" : `${problems.length} nodes`;
  return new BatchCamError(
    "E_DATA",
    `loadExportedModel: ${source}: this engine cannot run ${count} of the graph, which torch ${torchVersion} wrote: ${problems.join("; ")}: export the model without these operators, or with the version of torch that this package uses`,
  );
}
