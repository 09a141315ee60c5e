import { z } from "zod";
import { byValue, FEATURES, type Features, namesOf } from "./features.ts";
import { count, device, group, path, runDataFields } from "./fields.ts";
import { modelChoice } from "./model-fields.ts";
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
        "explain a model from these weights instead of a run: a .safetensors file or a torch.save checkpoint from torchvision, timm, transformers or batch-cam, or a transformers model folder",
      ),
    weightsKey: path()
      .optional()
      .describe(
        "with --weights: where the state dict is inside the checkpoint: its key, nested keys joined by dots, or the common prefix of its tensor names",
      ),
    model: modelChoice(families)
      .optional()
      .describe(
        "explain this exported model (.pt2); with --weights: the architecture (default: recognised from the names and shapes of the weights)",
      ),
    imageSize: count()
      .optional()
      .describe("with --weights: height and width of the model's input images (default: 224, or 28 for small stems)"),
    normalization: z
      .enum(["imagenet", "none"])
      .optional()
      .describe(
        "with --weights: normalisation of the pixels; none leaves them in [0, 1] (default: the one recorded with the weights, or imagenet for 3 channels)",
      ),
    mean: figures()
      .optional()
      .describe(
        "with --weights: mean of the pixels in [0, 1], one number per channel, separated by commas; replaces --normalization",
      ),
    std: figures()
      .optional()
      .describe("with --weights: standard deviation of the pixels in [0, 1], one number per channel"),
    classNames: path().optional().describe("text file with one class name per line"),
  });

const images = group("Images", {
  images: z.array(path()).optional().describe("image files, or folders of images"),
  split: z
    .enum(["test", "val", "train"])
    .optional()
    .describe("with --run: explain images from this split of its data set instead of files"),
  ...runDataFields(),
  limit: count()
    .optional()
    .describe(
      "explain at most N images: the first N readable files, or N images of a split spread over its classes (default: 16 images of a split, or all files)",
    ),
  fit: z
    .enum(["cover", "contain", "fill"])
    .default("cover")
    .describe("how a picture is resized to the model's input: cropped (cover), padded (contain) or stretched (fill)"),
  invert: z
    .boolean()
    .default(false)
    .describe(
      "invert the pixels, for pictures of dark strokes on light paper and a model trained on light strokes on dark",
    ),
  maxPixels: count().optional().describe("refuse to decode larger pictures (default: 100,000,000 pixels)"),
  badImages: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe("stop at a file that cannot be read, or skip and report it"),
  followLinks: z
    .boolean()
    .default(false)
    .describe("in a folder of images, also follow symbolic links that lead to folders or out of it"),
});

const mapFieldsOf = (methods: Features["methods"]) =>
  group("Maps", {
    method: z
      .string()
      .default("GradCAM")
      .describe(`CAM methods, separated by commas: ${namesOf(methods).join(", ")}`),
    layer: path()
      .optional()
      .describe(
        "module path of the target layer, or several paths, separated by commas, whose maps are fused (default: the run's layer, or the model's last stage)",
      ),
    target: z
      .string()
      .default("prediction")
      .describe(
        "class to explain: prediction, label (with --split), all, kth:K (the class with the K-th highest score), or a class's name or number",
      ),
    augSmooth: z
      .boolean()
      .default(false)
      .describe("test-time augmentation: average six maps, of the image and its mirror image at three contrasts"),
    eigenSmooth: z
      .boolean()
      .default(false)
      .describe("combine the layer's weighted channels by their first principal component instead of their sum"),
    convention: z
      .enum(["batch-cam", "pytorch-grad-cam", "torch-cam"])
      .default("batch-cam")
      .describe("library whose scaling and formulas are used if libraries differ"),
    samples: count()
      .optional()
      .describe(`number of noisy copies of each image (default: ${defaultsOf(methods, "samples")})`),
    noise: z
      .number()
      .nonnegative()
      .optional()
      .describe("standard deviation of the noise, in units of the normalised image"),
    steps: count()
      .optional()
      .describe(`number of points on the integration path (default: ${defaultsOf(methods, "steps")})`),
    seed: z.int().nonnegative().default(0).describe("seed of the noise"),
  });

const output = group("Output", {
  output: path()
    .optional()
    .describe(
      "folder for pictures, maps and manifest.json (default: explanations, or explanations-2 and so on if it exists)",
    ),
  overwrite: z.boolean().default(false).describe("replace an existing explanation in the output folder"),
  style: z
    .enum(["overlay", "classic", "map"])
    .optional()
    .describe(
      "overlay: the map over the image, more opaque where the map is higher; classic: half image, half map, as in pytorch-grad-cam; map: the map alone (default: overlay, or map for methods that score single pixels)",
    ),
  colormap: z
    .enum(["inferno", "viridis", "jet"])
    .optional()
    .describe("colour map (default: inferno, or jet for style classic)"),
  overlays: z.boolean().default(true).describe("write a picture for each image and method"),
  caption: z.boolean().default(true).describe("print the name, prediction and confidence below each picture"),
  grid: z.boolean().default(true).describe("also write one picture with all images and methods side by side"),
  raw: z
    .enum(["safetensors", "npy", "none"])
    .default("safetensors")
    .describe("file format for the maps as numbers: float32 in [0, 1], at the model's image size"),
});

const run = group("Run", {
  device: device(),
  batchSize: count().default(32).describe("images per forward pass").meta({ short: "b" }),
  amp: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .describe(
      "run the network in bfloat16 (autocast); auto: if the processor has bfloat16 instructions; off gives full float32 precision",
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
