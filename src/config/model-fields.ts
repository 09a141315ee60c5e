import { choiceOf, type Features, optionFields } from "./features.ts";
import { group, path } from "./fields.ts";

/** The names of all models of a list of families. */
export function modelNamesOf<const M extends Features["models"]>(families: M): M[number]["models"][number][] {
  return families.flatMap(({ models }) => models as readonly M[number]["models"][number][]);
}

/** The fields of the model and its initial weights. */
export const modelFieldsOf = <const M extends Features["models"]>(families: M) => {
  const names = modelNamesOf(families);
  return group("Model", {
    model: choiceOf(names)
      .default(names[0] as never)
      .describe("architecture to train"),
    ...optionFields(families),
    weights: path()
      .optional()
      .describe(
        "initial weights: a safetensors or torch.save file from torchvision, timm or transformers, a folder of transformers, a run or its checkpoint",
      ),
    weightsKey: path()
      .optional()
      .describe(
        "with weights: key of the state dict in a checkpoint (keys joined by dots), or the common prefix of its names (default: the first of state_dict, model_state_dict, model, net ... that contains tensors)",
      ),
    camLayer: path()
      .optional()
      .describe(
        "module path of the layer whose maps are guided (default: the last stage whose map has 7x7 cells or more)",
      ),
  });
};
