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
      .describe("7x7 of stride 2 and a pool, or 3x3 of stride 1 (default: small below 64 pixels)"),
    width: z.int().positive().max(4096).optional().describe("channels of the first stage (default: 64)"),
    zeroInitLast: z.boolean().optional().describe("zero weights in the last norm of each block at the start"),
  },
  takesImageSize: false,
  smallStem: { stem: "small" },
  stemOptions: ["stem"],
  misfitAdvice: "choose a stem that shrinks less (stem)",
} as const satisfies FamilyDescription;
