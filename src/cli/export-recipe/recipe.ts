/** Where the model to be exported comes from. */
export const SOURCES = ["timm", "torchvision", "own"] as const;
export type Source = (typeof SOURCES)[number];

export interface RecipeOptions {
  /** The model's name in timm or torchvision, or the module and class of an own model, as "my_model.MyModel". */
  model?: string | undefined;
  imageSize: number;
  /** Number of classes of a new last layer; the model's own if it is not given. */
  classes?: number | undefined;
}

/**
 * The Python that exports a model as a program of torch.export (.pt2): in evaluation mode, with a batch of any size. The
 * example has two images, because torch.export would fix a batch of one.
 */
export function recipeOf(source: Source, options: RecipeOptions): string {
  const { title, lines, name } = MAKERS[source](options);
  const { imageSize } = options;
  return [
    `# ${title}`,
    ...lines,
    `images = torch.randn(2, 3, ${imageSize}, ${imageSize})  # channels and size are fixed in the file, the number of images is not`,
    'batch = torch.export.Dim("batch", min=1, max=4096)',
    "program = torch.export.export(model, (images,), dynamic_shapes=({0: batch},), strict=False)",
    `torch.export.save(program, "${name.replaceAll(/[^\w.-]+/g, "_")}.pt2")`,
    "",
  ].join("\n");
}

interface Made {
  title: string;
  lines: string[];
  /** Name of the file to write. */
  name: string;
}

const LOAD = 'torch.load("weights.pth", map_location="cpu", weights_only=True)';

/** torchvision gives pretrained weights to its own number of classes alone, so all but the last layer are copied. */
const withNewHead = (name: string, classes: number): string[] => [
  `pretrained = torchvision.models.get_model("${name}", weights="DEFAULT").state_dict()`,
  `model = torchvision.models.get_model("${name}", weights=None, num_classes=${classes}).eval()`,
  "new = model.state_dict()  # the last layer keeps its random weights",
  "kept = {k: v for k, v in pretrained.items() if k in new and v.shape == new[k].shape}",
  "model.load_state_dict(kept, strict=False)",
];

const MAKERS: Readonly<Record<Source, (options: RecipeOptions) => Made>> = {
  timm: ({ model: name = "resnet18", classes, imageSize }) => ({
    title: "A model of timm (pip install torch timm)",
    lines: [
      "import timm",
      "import torch",
      "",
      `model = timm.create_model("${name}", pretrained=True${classes === undefined ? "" : `, num_classes=${classes}`}).eval()`,
      `# Your own weights: pretrained=False, then model.load_state_dict(${LOAD})`,
      'if hasattr(model, "set_input_size"):  # a ViT, a Swin and others are made for one size',
      `    model.set_input_size(img_size=(${imageSize}, ${imageSize}))`,
    ],
    name,
  }),
  torchvision: ({ model: name = "resnet18", classes }) => ({
    title: "A model of torchvision (pip install torch torchvision)",
    lines: [
      "import torch",
      "import torchvision",
      "",
      ...(classes === undefined
        ? [`model = torchvision.models.get_model("${name}", weights="DEFAULT").eval()`]
        : withNewHead(name, classes)),
      `# Your own weights: weights=None, then model.load_state_dict(${LOAD})`,
    ],
    name,
  }),
  own: ({ model: path = "my_model.MyModel", classes }) => {
    const dot = path.lastIndexOf(".");
    const [module, name] = [path.slice(0, dot), path.slice(dot + 1)];
    return {
      title: "A model of your own: its forward takes images (N, C, H, W) and gives logits (N, classes)",
      lines: [
        "import torch",
        `from ${module} import ${name}`,
        "",
        `model = ${name}(${classes === undefined ? "" : `num_classes=${classes}`})  # your constructor's own arguments`,
        `model.load_state_dict(${LOAD})`,
        "model.eval()  # take the model out of DistributedDataParallel (model.module) and torch.compile (model._orig_mod) first",
      ],
      name,
    };
  },
};
