import { counted } from "../../counted.ts";
import { type ExportedModel, loadExportedModel, multiplyAdds } from "../../models/index.ts";
import { exportedName } from "../../models/internal.ts";
import { formatTable } from "../table.ts";
import { short } from "./table.ts";

/** The usual side of images, for a file that takes any. */
const USUAL_SIDE = 224;

/** Describes the input, the output and the target layer of an exported model, with the tree of its modules that give maps. */
export async function exportedTree(path: string): Promise<string> {
  using model = await loadExportedModel(path, { dtype: "float32" }); // as every command runs it
  const [channels, height, width] = model.imageSize;
  const image = [channels ?? 3, height ?? USUAL_SIDE, width ?? USUAL_SIDE] as const;
  const count = model.fixedBatch === null ? "any number of images" : `exactly ${counted(model.fixedBatch, "image")}`;
  const facts = [
    ["written by", `torch ${model.torchVersion}`],
    ["takes", `${count} of ${model.imageSize.map((side) => side ?? "any").join("x")} (channels x height x width)`],
    ["gives", `logits of ${counted(model.numClasses, "class")}, by ${model.classifier || "no linear layer"}`],
    ["parameters", short(model.numParameters())],
    ["multiply-adds", `${short(multiplyAdds(model, image))} for one image`],
    ["target layer", targetOf(model)],
  ];
  const head = [`${exportedName(path)} (${model.pythonType})`, ...facts.map(([name, fact]) => `${name}: ${fact}`)];
  return `${head.join("\n")}\n${tableOf(model)}`;
}

function targetOf(model: ExportedModel): string {
  if (model.camLayers.length === 0)
    return "none, as no module gives maps of more than one cell; explain --method Saliency needs no layer";
  return `${model.camLayer}, which gives ${model.layoutOf(model.camLayer)}`;
}

/** A row for each module that gives maps, indented by its depth. How an output holds its maps is shown if any holds them in another way than (N, C, h, w). */
function tableOf(model: ExportedModel): string {
  const target = model.camLayers.length === 0 ? null : model.camLayer;
  const modules = model.namedModules();
  const outputs = inRunningOrder(model.moduleOutputs).filter(({ path, layout }) => path !== "" && layout !== null);
  const isPlain = outputs.every(({ layout }) => layout?.kind === "maps");
  const rows = outputs.map(({ path, sizes: [, ...sizes], layout }) => {
    const indented = "  ".repeat(path.split(".").length - 1) + path;
    const name = `${indented}${path === target ? " *" : ""}`;
    const kind = isPlain || layout === null ? [] : [layoutName(layout)];
    return [name, `[N, ${sizes.join(", ")}]`, ...kind, modules.get(path)?.typeName() ?? ""];
  });
  if (rows.length === 0) return "";
  const heads = ["module that gives maps", "output", ...(isPlain ? [] : ["kind"]), "class"];
  const mark = target === null ? "" : "* the target layer, unless --cam-layer or --layer names another\n";
  return `\n${formatTable(heads, rows, heads.length)}\nin the order in which the modules run\n${mark}`;
}

/** "maps", "channels last", or "tokens: 1 + 14 x 14". */
function layoutName(layout: NonNullable<Output["layout"]>): string {
  if (layout.kind === "maps") return "maps";
  if (layout.kind === "channels-last") return "channels last";
  const { prefix, height, width } = layout;
  return `tokens: ${prefix === 0 ? "" : `${prefix} + `}${height} x ${width}`;
}

type Output = ExportedModel["moduleOutputs"][number];

/** A module with the modules inside it, by their names. */
interface Branch {
  output?: Output;
  readonly children: Map<string, Branch>;
}

/**
 * Sorts outputs, which are given in the order in which the modules end, so that a module comes before those inside it and after those
 * that ran before it.
 */
function inRunningOrder(outputs: readonly Output[]): Output[] {
  const root: Branch = { children: new Map() };
  for (const output of outputs) {
    let branch = root;
    for (const name of output.path.split(".")) {
      const child: Branch = branch.children.get(name) ?? { children: new Map() };
      // Moved to the end, so that siblings are in the order in which the last modules inside them end.
      branch.children.delete(name);
      branch.children.set(name, child);
      branch = child;
    }
    branch.output = output;
  }
  const flat = ({ output, children }: Branch): Output[] => [
    ...(output === undefined ? [] : [output]),
    ...[...children.values()].flatMap(flat),
  ];
  return flat(root);
}
