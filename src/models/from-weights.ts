import { describeValue, expectMap } from "../arguments.ts";
import { BatchCamError } from "../errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { likeliestArchitecture } from "./architecture.ts";
import { nearestArchitecture } from "./nearest-architecture.ts";
import type { ModelOptions } from "./options.ts";

/**
 * The model that weights were made for, by their names and shapes: what `createModel` needs to take them as they are.
 *
 * @throws E_CHECKPOINT for weights of no architecture of this project, with what they look like and what is nearest, or for
 * weights without a head, which know no classes
 */
export function describeWeights(weights: ReadonlyMap<string, Tensor>): { name: string; options: ModelOptions } {
  expectMap("describeWeights: weights", weights);
  for (const [parameter, { shape }] of weights)
    if (shape.includes(0))
      throw new BatchCamError(
        "E_CHECKPOINT",
        `describeWeights: ${parameter} holds no value, got [${shape.join(", ")}]`,
      );
  const name = likeliestArchitecture(weights);
  const sizes = (parameter: string) => weights.get(`${parameter}.weight`)?.sizes ?? [];
  const described = describe(name, weights, sizes);
  if (described === null) {
    const nearest = nearestArchitecture(weights);
    const first = [...weights.keys()].slice(0, 3).map(describeValue).join(", ");
    const unknown = `their names belong to no architecture of this project (the first of ${weights.size}: ${first || "none"})`;
    const looks = name === null ? unknown : `they look like ${name}`;
    throw new BatchCamError("E_CHECKPOINT", `describeWeights: no model for these weights: ${looks}; ${nearest}`);
  }
  if (described.options.numClasses !== undefined) return described;
  throw new BatchCamError(
    "E_CHECKPOINT",
    `describeWeights: the weights are those of ${described.name} without a head, so that there are no classes: train one on them first (train with model "${described.name}" and weights)`,
  );
}

function describe(
  name: string | null,
  weights: ReadonlyMap<string, Tensor>,
  sizes: Sizes,
): { name: string; options: ModelOptions } | null {
  if (name === "simple-cnn") return { name, options: simpleCnn(weights, sizes) };
  if (name !== null && /^resnet\d+$/.test(name)) return { name, options: resnet(sizes) };
  if (name !== null && /^convnextv2_\w+$/.test(name)) return { name, options: convNext(weights, sizes) };
  return null;
}

/** Left out where the weights have no such layer. */
function classesOf(sizes: Sizes, classifier: string): { numClasses?: number } {
  const [numClasses] = sizes(classifier);
  return numClasses === undefined ? {} : { numClasses };
}

type Sizes = (parameter: string) => readonly number[];

function simpleCnn(weights: ReadonlyMap<string, Tensor>, sizes: Sizes): ModelOptions {
  const mlp = weights.has("fc1.weight");
  const [, inChannels = 1] = sizes("conv1");
  const [, features = 0] = sizes("fc1");
  const [channels = 1] = sizes("conv3");
  return {
    ...classesOf(sizes, mlp ? "fc2" : "fc"),
    inChannels,
    head: mlp ? "mlp" : "gap",
    norm: weights.has("bn1.weight") ? "batch" : "none",
    ...(mlp ? { imageSize: 4 * Math.round(Math.sqrt(features / channels)) } : {}),
  };
}

function resnet(sizes: Sizes): ModelOptions {
  const [width = 64, inChannels = 3, kernel] = sizes("conv1");
  return { ...classesOf(sizes, "fc"), inChannels, width, stem: kernel === 3 ? "small" : "imagenet" };
}

function convNext(weights: ReadonlyMap<string, Tensor>, sizes: Sizes): ModelOptions {
  const [, inChannels = 3, patch = 4] = sizes("stem.0");
  // timm's patch of 2 halves the map in the first stage too; a plain stem of stride 2 does not.
  const plain = patch === 2 && !weights.has("stages.0.downsample.1.weight");
  const stem = plain ? { stemStride: 2 as const } : { patchSize: patch as 1 | 2 | 4 };
  return { ...classesOf(sizes, "head.fc"), inChannels, ...stem };
}
