/**
 * The number of elements of a strided tensor, and of the elements of its storage from the first to the last that it uses, inclusive.
 * Null if their bytes are more than any memory has. Shape and strides are safe integers >= 0, of the same length.
 *
 * @param bytes of one element
 */
export function stridedExtent(
  shape: readonly number[],
  strides: readonly number[],
  bytes: number,
): { numel: number; extent: number } | null {
  // Empty dimensions count as 1 here, because libtorch multiplies the others even if there are no elements.
  const most = shape.reduce((product, size) => product * Math.max(1, size), bytes);
  const last = shape.reduce((sum, size, i) => sum + Math.max(0, size - 1) * (strides[i] as number), 0);
  if (!Number.isSafeInteger(most) || !Number.isSafeInteger(last * bytes)) return null;
  return shape.includes(0) ? { numel: 0, extent: 0 } : { numel: most / bytes, extent: last + 1 };
}
