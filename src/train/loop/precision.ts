import type { TrainConfig } from "../../config/index.ts";
import type { Module } from "../../nn/index.ts";
import { autocast, capabilities, type Tensor } from "../../tensor/index.ts";
import { channelsLast } from "../../tensor/internal.ts";

/** The precision and the memory layout of a network's computation. */
export interface Precision {
  /** whether it runs under bfloat16 autocast */
  readonly amp?: boolean;
  /** Whether activations are in channels-last layout. */
  readonly channelsLast?: boolean;
}

/** A model with its precision, which a run in training and a loaded run have in common. */
export interface ModelInPrecision extends Required<Precision> {
  readonly model: Module;
}

/** The precision that a config names on this machine. */
export const precisionOf = (config: TrainConfig): Required<Precision> => ({
  amp: usesBfloat16(config),
  channelsLast: usesChannelsLast(config),
});

/** Whether the network computes in bfloat16 on this machine. */
export function usesBfloat16({ amp }: Pick<TrainConfig, "amp">): boolean {
  return amp === "on" || (amp === "auto" && capabilities().fastBfloat16);
}

/** Whether activations are in channels-last layout on this machine. */
export function usesChannelsLast({ channelsLast }: Pick<TrainConfig, "channelsLast">): boolean {
  return channelsLast === "on" || (channelsLast === "auto" && capabilities().fastBfloat16);
}

/** Calls `fn` with images (B, C, H, W) in the given memory layout and precision. */
export function inPrecision<T>(
  images: Tensor,
  { amp = false, channelsLast: last = false }: Precision,
  fn: (laid: Tensor) => T,
): T {
  const laid = last ? channelsLast(images) : images;
  return amp ? autocast({ dtype: "bfloat16" }, () => fn(laid)) : fn(laid);
}
