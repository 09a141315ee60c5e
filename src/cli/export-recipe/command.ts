import { z } from "zod";
import { defineCommand } from "../command.ts";
import { recipeOf, SOURCES } from "./recipe.ts";

/** Names that are safe in a string of Python: those of timm ("hf-hub:timm/resnet18.a1_in1k"), torchvision, and dotted paths. */
const NAME = /^[\w./:@+-]+$/;
/** A module and a class in it. */
const CLASS = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$/;

const ExportRecipeConfig = z
  .strictObject({
    source: z.enum(SOURCES).optional().describe("print only the lines for this kind of model (default: all)"),
    model: z
      .string()
      .regex(NAME, "the name of a model, such as resnet50 or my_model.MyModel")
      .optional()
      .describe("name of the model in timm or torchvision, or module and class of your own, as my_model.MyModel"),
    imageSize: z.int().positive().default(224).describe("height and width of the images, which the file fixes"),
    classes: z.int().positive().optional().describe("number of classes of a new last layer (default: the model's own)"),
  })
  .refine(({ source, model }) => source !== "own" || model === undefined || CLASS.test(model), {
    path: ["model"],
    message:
      "a module and a class with a dot between them, such as my_model.MyModel for the class MyModel in my_model.py, with --source own",
  });

export const exportRecipeCommand = defineCommand({
  name: "export-recipe",
  summary: "Print the Python that exports a model of timm, of torchvision or of your own as a .pt2 file.",
  config: ExportRecipeConfig,
  async run({ config, stdout }) {
    const { source, model, ...options } = config;
    const sources = source === undefined ? SOURCES : [source];
    // Without a source, the name is that of a model in a library.
    const nameFor = (each: string) => (each === "own" && source === undefined ? undefined : model);
    const recipes = sources.map((each) => recipeOf(each, { ...options, model: nameFor(each) }));
    stdout.write(recipes.join("\n"));
    return "done";
  },
});
