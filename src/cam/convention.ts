/**
 * Whose conventions the maps follow where libraries differ:
 * - "batch-cam" (default): resize to the image, then one min-max with eps 1e-8; several layers are scaled, resized, averaged and
 *   scaled again;
 * - "pytorch-grad-cam" (1.5): min-max with eps 1e-7, resize, average over the layers, min-max again;
 * - "torch-cam" (0.5): min-max with eps 1e-8 at the map's own size, resized only where `upsample` asks for it; of several
 *   layers, resized to the largest of their maps, the largest value; Grad-CAM++ without its denominator; Score-CAM's channels scaled before they are resized, between half
 *   pixels.
 */
export type Convention = "batch-cam" | "pytorch-grad-cam" | "torch-cam";
export const CONVENTIONS = ["batch-cam", "pytorch-grad-cam", "torch-cam"] as const satisfies Convention[];
