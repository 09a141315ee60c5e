import { BatchCamError } from "../../errors.ts";
import { buffer, Module, parameter } from "../../nn/index.ts";
import { mark, PARTS } from "../../nn/internal.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { Graph, ProgramTensor } from "./program.ts";

/**
 * A module of an exported model. It has its tensors and children under PyTorch's names, and represents its place in the graph: its
 * output can be tapped, but only the model as a whole can run.
 */
export class ExportedModule extends Module {
  /** Children and tensors by name. A network may have a child `forward` or `training`, so they are not properties. */
  readonly [PARTS]: Record<string, unknown> = Object.create(null);
  readonly path: string;
  /** Name of its Python class, as "torch.nn.modules.conv.Conv2d"; "" if the file doesn't say. */
  pythonType = "";

  constructor(path: string) {
    super();
    this.path = path;
  }

  override forward(): Tensor {
    throw new BatchCamError(
      "E_CONFIG",
      `forward: ${this.path} is a part of an exported model, which runs only as a whole; use the model's forwardWith to get its output`,
    );
  }

  override typeName(): string {
    return this.pythonType.split(".").at(-1) || "Module";
  }
}

/** A place where a module keeps a tensor. `Module.to` puts another tensor there. */
export interface TensorPlace {
  readonly record: Record<string, unknown>;
  readonly key: string;
}

export const tensorAt = ({ record, key }: TensorPlace): Tensor => record[key] as Tensor;

/** The modules of an exported model, made as their paths are asked for. */
export class ModuleTree {
  readonly #modules = new Map<string, ExportedModule>();
  readonly #root: Record<string, unknown>;

  /** @param root the record of the model's own children and tensors */
  constructor(root: Record<string, unknown>) {
    this.#root = root;
  }

  /** The module at a path, made with its parents if it is new. */
  at(path: string): ExportedModule {
    const known = this.#modules.get(path);
    if (known !== undefined) return known;
    const made = new ExportedModule(path);
    this.#modules.set(path, made);
    const [parent, name] = splitPath(path);
    this.recordOf(parent)[name] = made;
    return made;
  }

  has(path: string): boolean {
    return this.#modules.has(path);
  }

  recordOf(path: string): Record<string, unknown> {
    return path === "" ? this.#root : this.at(path)[PARTS];
  }

  /** Adds the modules that the nodes name, with their classes. Returns that of the model itself, or "". */
  addScopes(graph: Graph): string {
    let own = "";
    for (const { scopes, inputs } of graph.nodes) {
      for (const { path, type } of scopes)
        if (path === "") own ||= type;
        else this.at(path).pythonType ||= type;
      for (const { argument } of inputs) if (argument.kind === "graph") this.addScopes(argument.graph);
    }
    return own.split(".").at(-1) ?? "";
  }

  /** Puts a tensor of the program into its module. */
  add(given: ProgramTensor): TensorPlace {
    const { name, kind, persistent, requiresGrad, tensor } = given;
    if (kind === "constant") return this.#place("", `constant ${given.value}`, mark(tensor, "constant"));
    const [path, key] = splitPath(name);
    if (kind === "parameter") return this.#place(path, key, parameter(tensor, { requiresGrad }));
    return this.#place(path, key, persistent ? buffer(tensor) : mark(tensor, "non-persistent buffer"));
  }

  #place(path: string, key: string, tensor: Tensor): TensorPlace {
    const record = this.recordOf(path);
    record[key] = tensor;
    return { record, key };
  }
}

/** "layer1.0.conv1" as ["layer1.0", "conv1"]. */
export function splitPath(path: string): [parent: string, name: string] {
  const at = path.lastIndexOf(".");
  return at === -1 ? ["", path] : [path.slice(0, at), path.slice(at + 1)];
}
