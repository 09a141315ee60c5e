import { expectPath, optionsOf } from "../../arguments.ts";
import type { DType } from "../../tensor/index.ts";
import { ExportedModel } from "./exported-model.ts";
import { readProgram } from "./read-program.ts";

export interface LoadExportedOptions {
  /** The dtype that the model is converted to; that of the file by default. */
  dtype?: DType;
  /** The device that the model is moved to. */
  device?: string;
}

/**
 * Loads a classifier that `torch.export.save` wrote (.pt2), from torch 2.5 on: images (N, C, H, W) to logits (N, classes). Its
 * modules can be tapped, explained and trained under PyTorch's own paths (`layer4.1.conv2`), and its state dict loads into the
 * Python module. `model.camLayer` is the last block whose map has at least 7 cells on its smaller side; `model.reshapeTransformOf`
 * makes maps of the tokens of a ViT and of channels-last outputs. The model is in evaluation mode.
 *
 * @example
 * const model = await loadExportedModel("resnet50.pt2");
 * const { maps } = explain(model, images, { method: "GradCAM", layer: "layer3" });
 *
 * @throws E_DATA for a file that is damaged, of another kind, or whose graph this engine cannot run, with the node, its module and
 *   what to do; E_DTYPE for a dtype that weights cannot have; E_IO if the operating system refuses
 */
export async function loadExportedModel(path: string, options: LoadExportedOptions = {}): Promise<ExportedModel> {
  expectPath("loadExportedModel: path", path);
  const { dtype, device } = optionsOf("loadExportedModel", options, ["dtype", "device"]);
  const program = await readProgram(path);
  try {
    const model = new ExportedModel(program, path);
    return model.to(...[dtype, device].filter((target) => target !== undefined));
  } catch (error) {
    for (const { tensor } of program.tensors) tensor.dispose();
    throw error;
  }
}
