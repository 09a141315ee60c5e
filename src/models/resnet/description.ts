import { z } from "zod";
import type { FamilyDescription } from "../family-description.ts";

export const resnetDescription = {
  name: "resnet",
  models: ["resnet18", "resnet34"],
  summary: "residual networks of basic blocks",
  source: "He et al., arXiv 1512.03385",
  namesOf: "torchvision",
  options: {
    stem: z
      .enum(["imagenet", "small"])
      .optional()
      .describe(
        "imagenet: a 7x7 convolution of stride 2 and max pooling; small: a 3x3 convolution of stride 1 (default: small for images below 64 pixels)",
      ),
    width: z.int().positive().max(4096).optional().describe("number of channels of the first stage (default: 64)"),
    zeroInitLast: z.boolean().optional().describe("initialise the last normalisation of each block with zero weights"),
  },
  takesImageSize: false,
  smallStem: { stem: "small" },
  stemOptions: ["stem"],
  misfitAdvice: "choose a stem that reduces the image less (stem)",
} as const satisfies FamilyDescription;
