import { describeValue, expectString } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { type Registry, registryOf } from "../registry.ts";
import { isTensor } from "../tensor/core.ts";
import { type DistanceKernel, mapDistance } from "../tensor/fused-ops.ts";
import { wantsFused } from "../tensor/fused-switch.ts";
import { autocast, type Tensor, tensor } from "../tensor/index.ts";
import { DISTANCES, type DistanceName } from "./description.ts";
import { imagePair } from "./images.ts";
import { ssimDistance, ssimWindowOf } from "./ssim.ts";

/** A distance of two stacks of N images: one value for each of N. */
export type Distance = (x: Tensor, y: Tensor) => Tensor;

/** Mean absolute difference `mean |x − y|` over the pixels of each image (N, …): (N). */
export function l1(x: Tensor, y: Tensor): Tensor {
  const [a, b] = imagePair("l1", x, y);
  return a.sub(b).abs().flatten(1).mean(1);
}

/** Mean squared difference `mean (x − y)²` over the pixels of each image (N, …): (N). */
export function l2(x: Tensor, y: Tensor): Tensor {
  const [a, b] = imagePair("l2", x, y);
  return a.sub(b).square().flatten(1).mean(1);
}

/** A distance that is known by name. */
export interface NamedDistance {
  readonly name: string;
  readonly distance: Distance;
  /** The kind by which the fused kernel knows it, if it does. */
  readonly kernel?: DistanceKernel;
}

const FUNCTIONS: Readonly<Record<DistanceName, Omit<NamedDistance, "name">>> = {
  ssim: { distance: (x, y) => ssimDistance(x, y), kernel: "ssim" },
  l1: { distance: l1, kernel: "l1" },
  l2: { distance: l2, kernel: "l2" },
};

const KNOWN: Registry<NamedDistance> = registryOf(DISTANCES.map(({ name }) => ({ name, ...FUNCTIONS[name] })));

/** A distance by name, or a function of the caller's own. `operation` is what an error names. */
export function distanceOf(distance: DistanceName | Distance, operation = "distanceOf"): Distance {
  expectString("distanceOf: operation", operation);
  return distanceIn(KNOWN, distance, operation);
}

/** `distanceOf` with a registry of distances. */
export function distanceIn(known: Registry<NamedDistance>, distance: string | Distance, operation: string): Distance {
  if (typeof distance === "function") return distance;
  const found = known.find(distance);
  if (found !== undefined) return found.distance;
  const names = known.names
    .toSorted()
    .map((name) => `"${name}"`)
    .join(", ");
  const got = `${describeValue(distance)}${known.hint(distance)}`;
  throw new BatchCamError("E_ARGUMENT", `${operation}: distance must be ${names} or a function, got ${got}`);
}

/** The mean of a distance over N pairs of images, in float32 also under autocast. */
export function meanDistance(operation: string, distance: Distance, [x, y]: readonly [Tensor, Tensor]): Tensor {
  const values = autocast({ enabled: false }, () => fused(distance, [x, y]) ?? distance(x, y));
  if (isTensor(values) && values.ndim === 1 && values.sizes[0] === x.sizes[0]) return (values as Tensor).mean();
  const got = isTensor(values) ? `[${values.shape.join(", ")}]` : describeValue(values);
  throw new BatchCamError(
    "E_SHAPE",
    `${operation}: distance must return a tensor [${x.sizes[0]}], one value for each image, got ${got}`,
  );
}

/** The same by one kernel, which differentiates by x alone; null if the kernel does not know the distance or cannot take these images. */
function fused(distance: Distance, [x, y]: readonly [Tensor, Tensor]): Tensor | null {
  const kind = KNOWN.items.find((item) => item.distance === distance)?.kernel;
  const [, height = 0, width = 0] = x.sizes;
  const same = x.ndim === 3 && y.ndim === 3 && y.sizes.every((size, i) => size === x.sizes[i]) && x.numel > 0;
  if (kind === undefined || !same || !wantsFused() || y.requiresGrad) return null;
  if (x.dtype !== "float32" || y.dtype !== "float32") return null;
  const { window, c1, c2 } = ssimWindowOf(height, width);
  return mapDistance(kind, [x, y], { window: tensor(window, { dtype: "float32" }), c1, c2 });
}
