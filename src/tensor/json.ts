import { BatchCamError } from "../errors.ts";
import type { NestedArray } from "./nested.ts";

/** What JSON needs of a tensor. It does not import `Tensor`, which has a `toJSON`. */
interface Listed {
  readonly numel: number;
  readonly sizes: readonly number[];
  readonly dtype: string;
  tolist(): NestedArray;
}

/** About 20 MB of text in float32. */
const MOST_VALUES = 2 ** 20;

/** A tensor's values as nested arrays that JSON can hold; see `Tensor.toJSON`. */
export function jsonOf(tensor: Listed): NestedArray {
  if (tensor.numel > MOST_VALUES)
    throw new BatchCamError(
      "E_ARGUMENT",
      `toJSON: expected a tensor of at most ${MOST_VALUES} values, got [${tensor.sizes.join(", ")}]: save it with saveSafetensors, write String(tensor) to a log, or call tolist() if JSON of this size is meant`,
    );
  const values = tensor.tolist();
  if (tensor.dtype === "int64" && holdsBigint(values))
    throw new BatchCamError(
      "E_ARGUMENT",
      'toJSON: expected int64 values from -(2^53 - 1) to 2^53 - 1, which JSON keeps exactly, got larger ones: write tolist() with the bigints as strings, or convert the tensor with to("float64")',
    );
  return values;
}

/** One look is enough: `tolist` gives bigints for all values or for none. */
function holdsBigint(values: NestedArray): boolean {
  const leaf = Array.isArray(values) ? values.flat(Number.POSITIVE_INFINITY)[0] : values;
  return typeof leaf === "bigint";
}
