import { z } from "zod";
import { exportedPath } from "../models/exported/description.ts";
import { choiceOf, type Features, optionFields } from "./features.ts";
import { group, path } from "./fields.ts";

/** The names of all models of a list of families. */
export function modelNamesOf<const M extends Features["models"]>(families: M): M[number]["models"][number][] {
  return families.flatMap(({ models }) => models as readonly M[number]["models"][number][]);
}

/** A field whose value is the name of a model, or the path of an exported one. */
export const modelChoice = <const M extends Features["models"]>(families: M) =>
  z.union([choiceOf(modelNamesOf(families)), exportedPath()]);

/** The fields of the model and its initial weights. */
export const modelFieldsOf = <const M extends Features["models"]>(families: M) => {
  const names = modelNamesOf(families);
  return group("Model", {
    model: modelChoice(families)
      .default(names[0] as never)
      .describe(
        "architecture to train, or a model of your own: a .pt2 file (batch-cam export-recipe shows how to write it)",
      ),
    ...optionFields(families),
    weights: path()
      .optional()
      .describe(
        "pretrained weights to start from: a .safetensors file or a torch.save checkpoint from torchvision, timm or transformers, a transformers model folder, or a run directory or its checkpoint",
      ),
    weightsKey: path()
      .optional()
      .describe(
        "with weights: where the state dict is inside the checkpoint: its key, nested keys joined by dots, or the common prefix of its tensor names (default: the first of state_dict, model_state_dict, model, net ... that contains tensors)",
      ),
    camLayer: path()
      .optional()
      .describe(
        "module path of the target layer, whose maps are guided (default: the last stage with a map of 7x7 or more)",
      ),
  });
};
