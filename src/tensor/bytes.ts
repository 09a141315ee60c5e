import { native } from "../native/addon.ts";
import { check } from "../native/dispatch.ts";
import { handleOf } from "./core.ts";
import type { Tensor } from "./tensor.ts";

/** Copies bytes into a contiguous tensor's memory, from byte `offset` on. */
export function writeBytes(tensor: Tensor, offset: number, source: Uint8Array): void {
  check("writeBytes", native.writeBytes(handleOf(tensor, "writeBytes: tensor"), offset, source));
}

/** Copies the tensor's bytes from `offset` on into `target`, all of it. */
export function readBytes(tensor: Tensor, offset: number, target: Uint8Array): void {
  check("readBytes", native.readBytes(handleOf(tensor, "readBytes: tensor"), offset, target));
}
