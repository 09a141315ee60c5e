import { type Tensor, tensor } from "../../src/tensor/index.ts";
import { hashSeed } from "./fixtures.ts";

/** The finaliser of MurmurHash3. */
function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function fnv1a(text: string): number {
  return new TextEncoder().encode(text).reduce((h, byte) => Math.imul(h ^ byte, 0x01000193), 0x811c9dc5);
}

/** The first `count` values in (0, 1) that belong to a name: the manifest's `hash`. */
export function hashedValues(name: string, count: number): Float64Array {
  const key = mix(fnv1a(name) + Math.imul(hashSeed, 0x9e3779b1));
  return Float64Array.from({ length: count }, (_, i) => (mix(mix(i + 0x9e3779b9) ^ key) + 0.5) / 2 ** 32);
}

/** The values of a state dict with which the fixtures of full-size networks were made. The given state defines names and shapes. */
export function hashedState(state: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(Array.from(state, ([name, { shape, numel }]) => [name, hashedTensor(name, shape, numel)]));
}

function hashedTensor(name: string, shape: readonly number[], numel: number): Tensor {
  if (name.endsWith("num_batches_tracked")) return tensor([0], { dtype: "int64", shape: [] });
  const { offset, scale } = rangeOf(name, shape);
  const values = hashedValues(name, numel).map((u) => offset + (2 * u - 1) * scale);
  return tensor(Float32Array.from(values), { shape: [...shape] });
}

/** The values are between offset − scale and offset + scale. */
function rangeOf(name: string, shape: readonly number[]): { offset: number; scale: number } {
  if (shape.length > 1) return { offset: 0, scale: Math.sqrt(3 / shape.slice(1).reduce((a, b) => a * b)) };
  const aroundOne = name.endsWith("weight") || name.endsWith("running_var");
  return aroundOne ? { offset: 1, scale: 0.2 } : { offset: 0, scale: 0.1 };
}
