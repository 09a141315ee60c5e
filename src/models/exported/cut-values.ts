import { outputNames, valueNames } from "./aliases.ts";
import type { Definitions } from "./model-head.ts";
import type { ModuleCall } from "./module-calls.ts";
import { partsOf } from "./node-names.ts";
import type { Program, ValueName } from "./program.ts";
import { numberFunction, SIZE_TARGETS } from "./symbolic.ts";

export interface ProgramCalls {
  readonly items: readonly (number | ModuleCall)[];
  nameAt(index: number, name: ValueName): ValueName;
}

/**
 * Paths of the modules whose output is a value that everything leads through (`cutValues`), but for adaptive pools, which belong to
 * the head.
 */
export function cutPaths(
  program: Program,
  { items, nameAt }: ProgramCalls,
  definitions: Definitions,
): ReadonlySet<string> {
  const cuts = cutValues(program, nameAt);
  const paths = new Set<string>();
  const visit = (item: number | ModuleCall): void => {
    if (typeof item === "number") return;
    item.items.forEach(visit);
    const node = item.output === null ? undefined : definitions.nodeOf(item.output);
    if (node === undefined || !cuts.has(item.output as ValueName)) paths.delete(item.path);
    else if (!partsOf(node.target).base.startsWith("adaptive_")) paths.add(item.path);
  };
  items.forEach(visit);
  return paths;
}

/**
 * The values that everything leads through on its way from the images to the logits: a stage's output, but not what a residual
 * block computes in parallel to its shortcut.
 */
function cutValues(program: Program, nameAt: (index: number, name: ValueName) => ValueName): ReadonlySet<ValueName> {
  const { nodes } = program.graph;
  const reads = nodes.map((node, index) =>
    numberFunction(node.target) !== null || SIZE_TARGETS.includes(node.target)
      ? []
      : node.inputs.flatMap(({ argument }) => valueNames(argument).map((name) => nameAt(index, name))),
  );
  const active = activeValues(program, reads, nameAt);
  // For each value that is on the way, the node that reads it last.
  const lastRead = new Map<ValueName, number>();
  for (const [index, node] of nodes.entries()) {
    if (!node.outputs.flatMap(outputNames).some((name) => active.has(name))) continue;
    for (const name of reads[index] as ValueName[]) if (active.has(name)) lastRead.set(name, index);
  }
  const cuts = new Set<ValueName>();
  const open = new Set<ValueName>([program.input.value]);
  for (const [index, node] of nodes.entries()) {
    const made = node.outputs.flatMap(outputNames).filter((name) => active.has(name));
    for (const name of [...open]) if ((lastRead.get(name) ?? -1) <= index) open.delete(name);
    for (const name of made) open.add(name);
    if (made.length === 1 && open.size === 1) cuts.add(made[0] as ValueName);
  }
  return cuts;
}

/** Values that depend on the images and that the logits depend on. */
function activeValues(
  program: Program,
  reads: readonly (readonly ValueName[])[],
  nameAt: (index: number, name: ValueName) => ValueName,
): ReadonlySet<ValueName> {
  const { nodes } = program.graph;
  const made = nodes.map((node) => node.outputs.flatMap(outputNames));
  const fromImages = new Set<ValueName>([program.input.value]);
  for (const [index, names] of reads.entries())
    if (names.some((name) => fromImages.has(name))) for (const name of made[index] as ValueName[]) fromImages.add(name);
  const active = new Set<ValueName>([nameAt(Number.POSITIVE_INFINITY, program.output)]);
  for (let index = nodes.length - 1; index >= 0; index--) {
    if (!(made[index] as ValueName[]).some((name) => active.has(name))) continue;
    for (const name of reads[index] as ValueName[]) if (fromImages.has(name)) active.add(name);
  }
  return active;
}
