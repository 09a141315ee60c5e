import { classesOf, type ModelFamily, type Recognition, type WeightsView } from "../family.ts";
import { simpleCnnDescription } from "./description.ts";
import { SimpleCNN, type SimpleCnnOptions } from "./simple-cnn.ts";

export const simpleCnn: ModelFamily<SimpleCnnOptions> = {
  ...simpleCnnDescription,
  create: (_name, options) => new SimpleCNN(options),
  recognise,
  sign: /^conv3\./,
  heads: ["fc"],
  *sketches() {
    for (const norm of ["none", "batch"] as const)
      for (const head of ["gap", "mlp"] as const)
        yield [`simple-cnn (${head}, norm ${norm})`, new SimpleCNN({ head, norm })];
  },
  dialects: [],
};

function recognise(view: WeightsView): Recognition<SimpleCnnOptions> | null {
  const { has, shapeOf } = view;
  if (!has(/^conv3\.weight$/) || !has(/^conv2\.weight$/) || has(/^layer\d/)) return null;
  const mlp = has(/^fc1\.weight$/);
  const [, inChannels = 1] = shapeOf("conv1");
  const [, features = 0] = shapeOf("fc1");
  const [channels = 1] = shapeOf("conv3");
  const options: SimpleCnnOptions = {
    ...classesOf(view, mlp ? "fc2" : "fc"),
    inChannels,
    head: mlp ? "mlp" : "gap",
    norm: has(/^bn1\.weight$/) ? "batch" : "none",
  };
  // The first linear layer reads the maps of the last pooling layer, whose side is a quarter of the image's.
  return {
    name: "simple-cnn",
    options: mlp ? { ...options, imageSize: 4 * Math.round(Math.sqrt(features / channels)) } : options,
  };
}
