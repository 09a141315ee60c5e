import { type AugmentKey, type AugmentOptions, augment, normalize, type Split, warp } from "../../data/index.ts";
import { gatherLabelled } from "../../data/internal.ts";
import { foregroundMask } from "../../metrics/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";

/** The annotations of a batch's images for a baseline, at the positions to which augmentation moved them; null without a baseline. */
export interface Annotations {
  /** (B, H, W), 1 at pixels that should not affect the prediction; null if the data set has no masks. */
  masks: Tensor | null;
  /** (B, H, W), 1 at pixels of the object. */
  foreground: Tensor | null;
}

/** A batch of normalised images with the annotations that baselines compare maps with. Call it inside `tidy`. */
export function annotatedBatch(
  train: Split,
  indices: Int32Array,
  changes: AugmentOptions & AugmentKey,
): Annotations & { images: Tensor; labels: Tensor; geometry: Tensor | null } {
  const { pixels, labels } = gatherLabelled(train, indices);
  const { images, geometry } = augment(pixels, indices, changes);
  const moved = (masks: Tensor) =>
    geometry === null ? masks : warp(masks.unsqueeze(1), geometry, "zeros").squeeze(1).round();
  // The foreground is that of the images before augmentation, because erased pixels would hide the object.
  const foreground = moved(foregroundMask(pixels).to("float32"));
  const masks = train.masks === undefined ? null : moved(train.masks.indexSelect(0, tensor(indices)).to("float32"));
  return { images: normalize(images, train.normalization), labels, geometry, masks, foreground };
}
