import { expectBoolean, optionsOf } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import { autocast, enableGrad, noGrad, type Tensor } from "../tensor/index.ts";
import { expectShapes, upcastHalf } from "../tensor/internal.ts";
import type { MethodName } from "./description.ts";
import { mapOfTerms } from "./gradient-methods.ts";
import { METHOD_REGISTRY, methodIn } from "./methods.ts";
import { type NormalizeOptions, SCALING } from "./normalize.ts";
import { callersGradient, readTargets, type Target, type Targets } from "./targets.ts";

export interface ActivationMapsOptions {
  /** A method that needs only a layer's activations and gradients, such as GradCAM or LayerCAM. */
  method?: MethodName | (string & {});
  /** Whether the maps have a graph to the parameters, which a training loss needs (default: true). */
  createGraph?: boolean;
  relu?: boolean;
  eigenSmooth?: boolean;
  /** Size [H, W] that the maps are resized to, usually the size of the image. */
  upsample?: readonly [number, number];
  /** Whether each map is scaled to [0, 1], as `explain` does, or the options of the scaling. */
  normalize?: boolean | NormalizeOptions;
}

const OPTIONS = ["method", "createGraph", "relu", "eigenSmooth", "upsample", "normalize"] as const;

/**
 * Maps by any method that needs only a layer's activations and gradients, computed from the caller's own forward pass. Like `batchCam`,
 * which does this for Grad-CAM, it is meant for use in a training loss. It does not change the model or its mode.
 *
 * @param logits S (B, C), computed from `activations` with their graph
 * @param activations A (B, K, h, w), the target layer's output, not detached
 * @param targets as in `explain`, except "all"
 * @returns maps (B, h, w), or (B, H, W) if upsampled
 * @throws E_SHAPE; E_CONFIG for an unknown method; E_ARGUMENT for one that needs more than this, or logits without a graph
 */
export function activationMaps(
  logits: Tensor,
  activations: Tensor,
  targets: Exclude<Targets, "all">,
  options: ActivationMapsOptions = {},
): Tensor {
  const {
    method: asked = "GradCAM",
    createGraph = true,
    relu = true,
    eigenSmooth = false,
    normalize = false,
    upsample,
  } = optionsOf("activationMaps", options, OPTIONS);
  for (const [name, value] of Object.entries({ createGraph, relu, eigenSmooth }))
    expectBoolean(`activationMaps: ${name}`, value);
  expectShapes("activationMaps", { logits: [logits, "B C"], activations: [activations, "B K h w"] });
  const method = methodIn(METHOD_REGISTRY, asked);
  if (method.kind !== "layer") {
    const able = METHOD_REGISTRY.items.flatMap(({ kind, name }) => (kind === "layer" ? [name] : [])).join(", ");
    throw new BatchCamError(
      "E_ARGUMENT",
      `activationMaps: ${method.name} needs the model: use explain; possible are ${able}`,
    );
  }
  const [target] = readTargets("activationMaps", targets, logits) as [Target];
  return (createGraph ? enableGrad : noGrad)(() => {
    const a = upcastHalf(createGraph ? activations : activations.detach());
    const given = { operation: "activationMaps", logits, tensor: activations, name: "activations", createGraph };
    const gradients = method.needsGradients
      ? autocast({ enabled: false }, () => callersGradient(given, () => target.score(upcastHalf(logits))))
      : a;
    const terms = autocast({ enabled: false }, () => method.terms({ activations: a, gradients }, "batch-cam"));
    return mapOfTerms([{ activations: a, terms }], {
      project: eigenSmooth || method.projects === true,
      relu,
      convention: "batch-cam",
      size: activations.sizes.slice(2) as [number, number],
      upsample: upsample ?? false,
      normalize: normalize === true ? SCALING["batch-cam"] : normalize,
      dtype: a.dtype,
    });
  });
}
