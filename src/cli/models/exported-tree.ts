import { counted } from "../../counted.ts";
import { type ExportedModel, loadExportedModel, multiplyAdds } from "../../models/index.ts";
import { exportedName } from "../../models/internal.ts";
import { formatTable } from "../table.ts";
import { short } from "./table.ts";

/** The usual side of images, for a file that takes any. */
const USUAL_SIDE = 224;

/** Describes the input, the output and the target layer of an exported model, with the tree of its modules that give maps. */
export async function exportedTree(path: string): Promise<string> {
  using model = await loadExportedModel(path);
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
  return `${head.join("\n")}\n\n${formatTable(["module that gives maps", "output", "maps"], rowsOf(model), 3)}
* the target layer, unless --cam-layer or --layer names another
`;
}

function targetOf(model: ExportedModel): string {
  if (model.camLayers.length === 0) return "no module gives maps of more than one cell: name a layer";
  return `${model.camLayer}, which gives ${model.layoutOf(model.camLayer)}`;
}

/** One row for each module, in the order of the tree, indented by its depth. */
function rowsOf(model: ExportedModel): string[][] {
  const target = model.camLayers.length === 0 ? null : model.camLayer;
  const outputs = new Map(model.moduleOutputs.map((output) => [output.path, output]));
  return [...model.namedModules().keys()].flatMap((path) => {
    const output = outputs.get(path);
    if (path === "" || output === undefined || output.layout === null) return [];
    const indented = "  ".repeat(path.split(".").length - 1) + path;
    const [, ...sizes] = output.sizes;
    return [[`${indented}${path === target ? " *" : ""}`, `[N, ${sizes.join(", ")}]`, model.layoutOf(path) ?? ""]];
  });
}
