import { z } from "zod";
import type { FamilyDescription } from "../family-description.ts";

export const simpleCnnDescription = {
  name: "simple-cnn",
  models: ["simple-cnn"],
  summary: "three 3x3 convolutions of 32, 64 and 128 channels, for images of 28x28 and the like",
  source: "the paper's first experiments",
  namesOf: null,
  options: {
    head: z
      .enum(["mlp", "gap"])
      .optional()
      .describe(
        "classifier after the last map: two linear layers (mlp), or global average pooling and one linear layer (gap) (default: mlp)",
      ),
    norm: z.enum(["none", "batch"]).optional().describe("normalisation after each convolution (default: none)"),
    dropout: z.number().min(0).lt(1).optional().describe("dropout probability before the last layer"),
  },
  takesImageSize: true,
  smallStem: {},
  stemOptions: [],
  misfitAdvice: 'images that are not square need head "gap"',
} as const satisfies FamilyDescription;
