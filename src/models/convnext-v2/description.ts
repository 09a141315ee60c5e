import { z } from "zod";
import type { FamilyDescription } from "../family-description.ts";

export const convNextV2Description = {
  name: "convnextv2",
  models: [
    "convnextv2_atto",
    "convnextv2_femto",
    "convnextv2_pico",
    "convnextv2_nano",
    "convnextv2_tiny",
    "convnextv2_base",
  ],
  summary: "depthwise 7x7 convolutions and MLPs with global response normalisation",
  source: "Woo et al., arXiv 2301.00808",
  namesOf: "timm",
  options: {
    patchSize: z
      .literal([1, 2, 4])
      .optional()
      .describe(
        "kernel size and stride of the stem convolution (default: 4; for images below 64 pixels, stemStride 2)",
      ),
    stemStride: z.literal(2).optional().describe("use a 2x2 stem convolution of stride 2 instead of patchSize"),
    dropPath: z
      .number()
      .min(0)
      .lt(1)
      .optional()
      .describe(
        "stochastic depth: probability that the last block is skipped; it rises linearly from 0 at the first block",
      ),
  },
  takesImageSize: false,
  // Its maps have half the side of those with patchSize 1, at a quarter of the cost.
  smallStem: { stemStride: 2 },
  stemOptions: ["patchSize", "stemStride"],
  misfitAdvice: "choose a stem that reduces the image less (patchSize, stemStride)",
} as const satisfies FamilyDescription;
