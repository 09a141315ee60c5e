import { describeValue } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { nearestName } from "../nearest-name.ts";
import { type Registry, registryOf } from "../registry.ts";
import type { Tensor } from "../tensor/index.ts";
import { CAM_METHODS, type MethodName } from "./description.ts";
import { fullGrad } from "./full-grad.ts";
import {
  gradCam,
  gradCamElementWise,
  gradCamPlusPlus,
  hiResCam,
  type LayerView,
  layerCam,
  type MapTerms,
  smoothGradCamPlusPlus,
  xGradCam,
} from "./gradient-methods.ts";
import { guidedBackprop, integratedGradients, saliency, smoothGrad } from "./input-gradients.ts";
import type { Convention } from "./normalize.ts";
import type { ImageOptions, ProbingOptions } from "./options.ts";
import type { Pass, TargetLayer } from "./pass.ts";
import { ablationCam, scoreCam } from "./probing-methods.ts";

/** The names of all methods. */
export const METHODS = CAM_METHODS.map(({ name }) => name);

/** Maps of one layer from its activations and gradients, without another forward pass. */
export interface LayerMethod {
  readonly kind: "layer";
  readonly needsGradients: boolean;
  /** Whether the map is the first principal component of the summands instead of their sum. */
  readonly projects?: boolean;
  terms(view: LayerView, convention: Convention): MapTerms;
}

/** Maps of one layer by a method that runs additional forward passes. */
export interface ProbingMethod {
  readonly kind: "probing";
  readonly differentiable: boolean;
  /** Whether the method replaces the layer's output, which must then be (B, K, h, w) without a transform. */
  readonly replacesOutput?: boolean;
  terms(pass: Pass, layer: TargetLayer, options: ProbingOptions): MapTerms;
}

/** Maps at the image's size by a method that uses no layer. */
export interface ImageMethod {
  readonly kind: "image";
  /** Whether the map is signed. The option `relu` then means its magnitude. */
  readonly signed?: boolean;
  map(pass: Pass, options: ImageOptions): Tensor;
}

export type Method = LayerMethod | ProbingMethod | ImageMethod;

const byGradients = (terms: LayerMethod["terms"]): LayerMethod => ({ kind: "layer", needsGradients: true, terms });
const image = (map: ImageMethod["map"]): ImageMethod => ({ kind: "image", map });

const METHOD_TABLE: Readonly<Record<MethodName, Method>> = {
  GradCAM: byGradients(gradCam),
  HiResCAM: byGradients(hiResCam),
  GradCAMElementWise: byGradients(gradCamElementWise),
  "GradCAM++": byGradients(gradCamPlusPlus),
  XGradCAM: byGradients(xGradCam),
  LayerCAM: byGradients(layerCam),
  EigenCAM: {
    kind: "layer",
    needsGradients: false,
    projects: true,
    terms: ({ activations }) => ({ summands: activations }),
  },
  EigenGradCAM: { ...byGradients(hiResCam), projects: true },
  AblationCAM: { kind: "probing", differentiable: false, replacesOutput: true, terms: ablationCam },
  ScoreCAM: { kind: "probing", differentiable: false, terms: scoreCam },
  "SmoothGradCAM++": { kind: "probing", differentiable: true, terms: smoothGradCamPlusPlus },
  FullGrad: image(fullGrad),
  Saliency: image(saliency),
  IntegratedGradients: { kind: "image", signed: true, map: integratedGradients },
  SmoothGrad: image(smoothGrad),
  GuidedBackprop: image(guidedBackprop),
};

/** A method that is known by name. */
export type NamedMethod = Method & { readonly name: string };

/** Every method by its name. */
export const METHOD_REGISTRY: Registry<NamedMethod> = registryOf(
  METHODS.map((name): NamedMethod => ({ name, ...METHOD_TABLE[name] })),
);

/** The methods that use no layer, which explain any network. */
export const LAYERLESS_METHODS: readonly string[] = METHOD_REGISTRY.items
  .filter(({ kind }) => kind === "image")
  .map(({ name }) => name);

/** Reduces a name to letters and digits, so that "grad-cam++" and "GradCAMPlusPlus" are equal. */
const plain = (name: string) =>
  name
    .toLowerCase()
    .replaceAll("++", "plusplus")
    .replace(/pp$/, "plusplus")
    .replace(/[-_\s]/g, "");

/**
 * A method's canonical name, however it is spelt: "gradcam", "grad-cam++", "GradCAMPlusPlus".
 *
 * @throws E_CONFIG for an unknown name, with the nearest known one
 */
export function methodOf(name: string): MethodName {
  return methodIn(METHOD_REGISTRY, name).name as MethodName;
}

/** The method that a name means in a registry, however it is spelt. */
export function methodIn({ items, names }: Registry<NamedMethod>, name: string): NamedMethod {
  const byPlainName = new Map(items.map((method) => [plain(method.name), method]));
  const known = typeof name === "string" ? byPlainName.get(plain(name)) : undefined;
  if (known !== undefined) return known;
  const close = typeof name === "string" ? nearestName(plain(name), [...byPlainName.keys()]) : undefined;
  const near = close === undefined ? undefined : byPlainName.get(close);
  const hint = near === undefined ? "." : `; did you mean ${near.name}?`;
  throw new BatchCamError(
    "E_CONFIG",
    `unknown explanation method ${describeValue(name)}${hint} The methods are ${names.join(", ")}`,
  );
}
