import { z } from "zod";
import { byValue, choiceOf, FEATURES, type Features, namesOf } from "./features.ts";
import { count, device, group, path, runDataFields } from "./fields.ts";
import { modelNamesOf } from "./model-fields.ts";
import { figures } from "./normalization.ts";

/** The defaults of a setting, such as "4 for SmoothGradCAM++, 25 for SmoothGrad". */
const defaultsOf = (methods: Features["methods"], setting: "samples" | "steps"): string =>
  byValue(methods.flatMap(({ name, [setting]: value }) => (value === undefined ? [] : [[name, value] as const])));

const subjectFieldsOf = <const M extends Features["models"]>(families: M) =>
  group("Model", {
    run: path().optional().describe("run directory, or a checkpoint in it, whose model is explained"),
    weights: path()
      .optional()
      .describe(
        "weights to explain instead of a run: a safetensors or torch.save file from torchvision, timm, transformers or batch-cam, or a folder of transformers",
      ),
    weightsKey: path()
      .optional()
      .describe(
        "with --weights: key of the state dict in a checkpoint (keys joined by dots), or the common prefix of its names",
      ),
    model: choiceOf(modelNamesOf(families))
      .optional()
      .describe("with --weights: their architecture (default: recognised by their names and shapes)"),
    imageSize: count()
      .optional()
      .describe("with --weights: side of the images that the model takes (default: 224, and 28 for small stems)"),
    normalization: z
      .enum(["imagenet", "none"])
      .optional()
      .describe(
        "with --weights: normalisation of the pixels; none leaves them in [0, 1] (default: that of their run or folder, otherwise imagenet for 3 channels)",
      ),
    mean: figures()
      .optional()
      .describe("with --weights: mean of the pixels in [0, 1], a number for each channel, instead of normalization"),
    std: figures().optional().describe("with --weights: standard deviation of the pixels, a number for each channel"),
    classNames: path().optional().describe("text file with a class name on each line"),
  });

const images = group("Images", {
  images: z.array(path()).optional(),
  split: z
    .enum(["test", "val", "train"])
    .optional()
    .describe("with --run: explain images of its data set instead of files"),
  ...runDataFields(),
  limit: count()
    .optional()
    .describe(
      "explain only N images: the first files that can be read, or images from all classes of a split (default: all files, or 16 of a split)",
    ),
  fit: z
    .enum(["cover", "contain", "fill"])
    .default("cover")
    .describe("how an image is fitted to the model's size: crop, add margins, or distort"),
  invert: z
    .boolean()
    .default(false)
    .describe("invert the pixels: for images of dark strokes on light paper, if the model expects light on dark"),
  maxPixels: count().optional().describe("largest image that is decoded (default: 100,000,000 pixels)"),
  badImages: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe("whether a file that cannot be read is an error, or is left out and reported"),
  followLinks: z.boolean().default(false).describe("follow links that leave a folder of images, and links to folders"),
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
        "module path of the layer, or several to fuse, separated by commas (default: the run's, otherwise the model's last stage)",
      ),
    target: z
      .string()
      .default("prediction")
      .describe("class that is explained: prediction, label (of a split), all, kth:K, a class name or its number"),
    augSmooth: z
      .boolean()
      .default(false)
      .describe("average six maps, including those of the flipped image and of other contrasts"),
    eigenSmooth: z
      .boolean()
      .default(false)
      .describe("use the first principal component of the layer's terms instead of their sum"),
    convention: z
      .enum(["batch-cam", "pytorch-grad-cam", "torch-cam"])
      .default("batch-cam")
      .describe("the library whose scaling and formulas are used, if libraries differ"),
    samples: count()
      .optional()
      .describe(`noisy copies of each image (default: ${defaultsOf(methods, "samples")})`),
    noise: z
      .number()
      .nonnegative()
      .optional()
      .describe("standard deviation of the noise, in units of the normalised image"),
    steps: count()
      .optional()
      .describe(`number of points on the path (default: ${defaultsOf(methods, "steps")})`),
    seed: z.int().nonnegative().default(0).describe("seed of the noise"),
  });

const output = group("Output", {
  output: path()
    .optional()
    .describe(
      "folder for pictures, maps and manifest.json (default: explanations, or explanations-2, ... if that exists)",
    ),
  overwrite: z.boolean().default(false).describe("replace an existing explanation"),
  style: z
    .enum(["overlay", "classic", "map"])
    .optional()
    .describe(
      "overlay: the map over the image, more opaque where it is higher; classic: pytorch-grad-cam's half and half; map: the map only (default: overlay, or map for methods of single pixels)",
    ),
  colormap: z
    .enum(["inferno", "viridis", "jet"])
    .optional()
    .describe("colours of the maps (default: inferno, jet for classic)"),
  overlays: z.boolean().default(true).describe("write a picture for each image and method"),
  caption: z
    .boolean()
    .default(true)
    .describe("add the name, the prediction and its confidence in a strip below each picture"),
  grid: z.boolean().default(true).describe("write all images and methods side by side"),
  raw: z
    .enum(["safetensors", "npy", "none"])
    .default("safetensors")
    .describe("file of the maps in [0, 1], float32, at the model's image size"),
});

const run = group("Run", {
  device: device(),
  batchSize: count().default(32).describe("images in a batch").meta({ short: "b" }),
  amp: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "bfloat16 autocast of the network; auto uses it if the processor computes in bfloat16; off gives full precision",
    ),
  threads: count().optional().describe("threads of the engine (default: the physical cores this process may use)"),
});

/** The schema of `batch-cam explain` with these models and methods to choose from. */
export const explainConfigOf = <const F extends Features>(features: F) =>
  z.strictObject({
    ...subjectFieldsOf<F["models"]>(features.models),
    ...images,
    ...mapFieldsOf(features.methods),
    ...output,
    ...run,
  });

/** The options of `batch-cam explain`. */
export const ExplainConfig = explainConfigOf(FEATURES);
export type ExplainConfig = z.output<typeof ExplainConfig>;
