import type { DType } from "../../tensor/index.ts";

/** Digits of the floating dtypes, roughly. */
const WIDTH: Partial<Record<DType, number>> = { float16: 1, bfloat16: 1, float32: 2, float64: 3 };

/**
 * The dtype that replaces a dtype of the file in a model that was converted. The dtype of the file's weights becomes the model's. A
 * wider one, for a part that is computed with more digits, stays as wide, or becomes the model's if that is wider still.
 */
export function convertedDType(dtype: DType, { from, to }: { from: DType; to: DType }): DType {
  const width = WIDTH[dtype];
  if (width === undefined || from === to) return dtype;
  if (dtype === from) return to;
  const isWiderPart = width > (WIDTH[from] ?? 0);
  return isWiderPart && (WIDTH[to] ?? 0) > width ? to : dtype;
}
