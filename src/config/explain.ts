import { z } from "zod";
import { byValue, choiceOf, FEATURES, type Features, namesOf } from "./features.ts";
import { count, device, group, path, runDataFields } from "./fields.ts";
import { modelNamesOf } from "./model-fields.ts";
import { figures } from "./normalization.ts";

/** "4 for SmoothGradCAM++, 25 for SmoothGrad" */
const defaultsOf = (methods: Features["methods"], setting: "samples" | "steps"): string =>
  byValue(methods.flatMap(({ name, [setting]: value }) => (value === undefined ? [] : [[name, value] as const])));

const subjectFieldsOf = <const M extends Features["models"]>(families: M) =>
  group("Model", {
    run: path().optional().describe("run directory, or a checkpoint in it, whose model is explained"),
    weights: path()
      .optional()
      .describe(
        "weights to explain in place of a run: safetensors or a file of torch.save of torchvision, timm, transformers or batch-cam, or a folder of transformers",
      ),
    weightsKey: path()
      .optional()
      .describe(
        "with --weights: key of the state dict in a checkpoint, keys joined by dots, or what the names begin with",
      ),
    model: choiceOf(modelNamesOf(families))
      .optional()
      .describe("with --weights: their architecture (default: told by their names and shapes)"),
    imageSize: count()
      .optional()
      .describe("with --weights: side of the images that the model takes (default: 224, and 28 for small stems)"),
    normalization: z
      .enum(["imagenet", "none"])
      .optional()
      .describe(
        "with --weights: of the pixels; none leaves them in [0, 1] (default: that of their run or folder, else imagenet for 3 channels)",
      ),
    mean: figures()
      .optional()
      .describe("with --weights: mean of the pixels in [0, 1], a number for each channel, in place of normalization"),
    std: figures().optional().describe("with --weights: their deviation, a number for each channel"),
    classNames: path().optional().describe("text file with a class name on each line"),
  });

const images = group("Images", {
  images: z.array(path()).optional(),
  split: z.enum(["test", "val", "train"]).optional().describe("with --run: images of its data set in place of files"),
  ...runDataFields(),
  limit: count()
    .optional()
    .describe(
      "explain only N images: the first files that can be read, or of all classes of a split (default: 16 of a split, all files)",
    ),
  fit: z
    .enum(["cover", "contain", "fill"])
    .default("cover")
    .describe("how a picture comes to the model's size: cut, with margins, or distorted"),
  invert: z
    .boolean()
    .default(false)
    .describe("invert the pixels: dark strokes on light paper, for a model of light on dark"),
  maxPixels: count().optional().describe("largest picture that is decoded (default: 100,000,000 pixels)"),
  badImages: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe("stop at a file that cannot be read, or leave it out and report it"),
  followLinks: z.boolean().default(false).describe("follow links out of a folder of images, and to folders"),
});

const mapFieldsOf = (methods: Features["methods"]) =>
  group("Maps", {
    method: z
      .string()
      .default("GradCAM")
      .describe(`one or several methods, separated by commas: ${namesOf(methods).join(", ")}`),
    layer: path()
      .optional()
      .describe(
        "module path of the layer, or several to fuse, separated by commas (default: the run's, else the model's last stage)",
      ),
    target: z
      .string()
      .default("prediction")
      .describe("class that is explained: prediction, label (of a split), all, kth:K, a class name or its number"),
    augSmooth: z
      .boolean()
      .default(false)
      .describe("mean of six maps, of the mirrored image and of other contrasts too"),
    eigenSmooth: z
      .boolean()
      .default(false)
      .describe("first principal component of the layer's terms in place of their sum"),
    convention: z
      .enum(["batch-cam", "pytorch-grad-cam", "torch-cam"])
      .default("batch-cam")
      .describe("whose scaling and formulas hold where libraries differ"),
    samples: count()
      .optional()
      .describe(`noisy copies of each image (default: ${defaultsOf(methods, "samples")})`),
    noise: z.number().nonnegative().optional().describe("deviation of their noise, in units of the normalised image"),
    steps: count()
      .optional()
      .describe(`points of the path (default: ${defaultsOf(methods, "steps")})`),
    seed: z.int().nonnegative().default(0).describe("seed of the noise"),
  });

const output = group("Output", {
  output: path()
    .optional()
    .describe(
      "folder for pictures, maps and manifest.json (default: explanations, and where that is taken explanations-2, ...)",
    ),
  overwrite: z.boolean().default(false).describe("replace an explanation that is there"),
  style: z
    .enum(["overlay", "classic", "map"])
    .optional()
    .describe(
      "map over the image, as opaque as it is high; pytorch-grad-cam's half and half; or the map alone (default: overlay, map for methods of single pixels)",
    ),
  colormap: z
    .enum(["inferno", "viridis", "jet"])
    .optional()
    .describe("colours of the maps (default: inferno, jet for classic)"),
  overlays: z.boolean().default(true).describe("write a picture for each image and method"),
  caption: z.boolean().default(true).describe("name, prediction and confidence in a strip below each of them"),
  grid: z.boolean().default(true).describe("write all images and methods side by side"),
  raw: z
    .enum(["safetensors", "npy", "none"])
    .default("safetensors")
    .describe("file of the maps in [0, 1], float32, at the model's image size"),
});

const run = group("Run", {
  device: device(),
  batchSize: count().default(32).describe("images at a time").meta({ short: "b" }),
  amp: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "bfloat16 autocast of the network; auto where the processor computes in bfloat16; off for the last digits",
    ),
  threads: count().optional().describe("threads of the engine (default: the physical cores this process may use)"),
});

/** What `batch-cam explain` takes, with these models and methods to choose from. */
export const explainConfigOf = <const F extends Features>(features: F) =>
  z.strictObject({
    ...subjectFieldsOf<F["models"]>(features.models),
    ...images,
    ...mapFieldsOf(features.methods),
    ...output,
    ...run,
  });

/** What `batch-cam explain` takes. */
export const ExplainConfig = explainConfigOf(FEATURES);
export type ExplainConfig = z.output<typeof ExplainConfig>;
